#include "codec/format.h"

#include <algorithm>
#include <array>
#include <utility>

#include "codec/formats.h"
#include "codec/formats/affine.h"
#include "tensor/affine.h"

namespace pajamas::codec {
namespace {

constexpr std::array kScaleTypes{DType::kF32, DType::kF16, DType::kBF16};

// [bits][group size][type of the scales], as the arrays of tensor/encoding.h count.
constexpr auto kAffineFormats = [] {
  std::array<Format, kAffineBits.size() * kAffineGroups.size() * kScaleTypes.size()> all{};
  std::size_t at = 0;
  for (const int bits : kAffineBits) {
    for (const int group : kAffineGroups) {
      for (const DType type : kScaleTypes) all[at++] = affine_format(bits, group, type);
    }
  }
  return all;
}();

const Format* find_affine(const Encoding& encoding) noexcept {
  const auto index = [](const auto& all, auto value) {
    return static_cast<std::size_t>(std::ranges::find(all, value) - all.begin());
  };
  const std::size_t bits = index(kAffineBits, encoding.bits);
  const std::size_t group = index(kAffineGroups, encoding.group_size);
  const std::size_t type = index(kScaleTypes, encoding.dtype);
  if (bits == kAffineBits.size() || group == kAffineGroups.size() || type == kScaleTypes.size()) {
    return nullptr;
  }
  return &kAffineFormats[(bits * kAffineGroups.size() + group) * kScaleTypes.size() + type];
}

template <class... F>
const Format* find_block(FormatList<F...>, DType type) noexcept {
  const Format* found = nullptr;
  (void)((F::kFormat.type == type && (found = &F::kFormat) != nullptr) || ...);
  return found;
}

}  // namespace

const Format* find_format(const Encoding& encoding) noexcept {
  if (encoding.is_affine()) return find_affine(encoding);
  if (encoding.layout == Layout::kNvfp4) return &Nvfp4::kFormat;
  if (encoding.layout != Layout::kStream && encoding.layout != Layout::kMxfp4) return nullptr;
  return find_block(BlockFormats{}, encoding.dtype);
}

}  // namespace pajamas::codec
