#include "codec/room.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "base/bytes.h"
#include "codec/codec.h"
#include "codec/fitted.h"
#include "codec/format.h"
#include "codec/fp8.h"

namespace pajamas::codec {
namespace {

// What the fit of blocks takes as it is; larger weights are cut to it, since twice this is the
// widest range that stays finite.
constexpr float kMostFitted = 0x1.8p126f;

// The largest numbers that round to a finite one.
constexpr float kMostF16 = std::bit_cast<float>(0x477FEFFFu);
constexpr float kMostBF16 = std::bit_cast<float>(0x7F7F7FFFu);

float largest_plain(DType type) noexcept {
  return type == DType::kF16    ? kMostF16
         : type == DType::kBF16 ? kMostBF16
                                : std::numeric_limits<float>::max();
}

// The largest number of a scale's type.
float largest_stored(DType type) noexcept {
  return type == DType::kF16    ? 65504.0f
         : type == DType::kBF16 ? 0x1.FEp127f
                                : std::numeric_limits<float>::max();
}

// The largest scale of E4M3 times the largest code, and half of the smallest times the smallest.
constexpr float kMostNvfp4 = kMostE4m3 * 6;
constexpr float kLeastNvfp4 = 0x1p-11f;

// Scales of E8M0.
bool has_powers_of_two(const Encoding& encoding) noexcept {
  return encoding.is_mxfp4() || encoding.layout == Layout::kMxfp8;
}

float largest_of(std::span<const float> values) noexcept {
  float most = 0;
  for (const float value : values) most = std::max(most, std::abs(value));
  return most;
}

std::size_t index_of_largest(std::span<const float> values) noexcept {
  const auto smaller = [](float a, float b) { return std::abs(a) < std::abs(b); };
  return static_cast<std::size_t>(std::ranges::max_element(values, smaller) - values.begin());
}

// One block, encoded and read back.
std::vector<float> read_block(const Encoding& encoding, const ConstPlanes& block) {
  std::vector<float> values(encoding.block_cols());
  decode_rows(encoding, block, values.size(), values);
  return values;
}

std::vector<float> encode_block(const Encoding& encoding, std::span<const float> weights,
                                std::span<const float> importance) {
  std::array<std::vector<std::byte>, Encoding::kMaxPlanes> bytes;
  Planes planes;
  ConstPlanes stored;
  for (std::size_t p = 0; p < encoding.planes(); ++p) {
    bytes[p].resize(encoding.plane_row_bytes(p, weights.size()));
    planes.plane[p] = bytes[p];
    stored.plane[p] = bytes[p];
  }
  encode_rows(encoding, weights, importance, weights.size(), planes);
  return read_block(encoding, stored);
}

double squared_error(std::span<const float> weights, std::span<const float> stored) noexcept {
  double sum = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double difference = double{weights[i]} - stored[i];
    sum += difference * difference;
  }
  return sum;
}

// An encoder decides alike whatever power of two its block is multiplied with, as long as scale and
// offset can be stored: so the same block made small tells what error is the format's own.
bool has_room(const Encoding& encoding, std::span<const float> weights,
              std::span<const float> importance, std::span<const float> stored) {
  // MLX computes the weights of a group in the type of its scales.
  if (encoding.is_affine() && largest_of(stored) > largest_plain(encoding.dtype)) return false;
  const float largest = largest_of(weights);
  const double down = std::ldexp(1.0, 10 - std::ilogb(largest));
  std::vector<float> small(weights.begin(), weights.end());
  for (float& weight : small) weight = static_cast<float>(weight * down);
  const double own = squared_error(small, encode_block(encoding, small, importance)) / down / down;
  return squared_error(weights, stored) <= 1.001 * own + 1e-8 * double{largest} * largest;
}

ConstPlanes block_of(const Encoding& encoding, const ConstPlanes& planes, std::size_t at) noexcept {
  ConstPlanes block;
  for (std::size_t p = 0; p < encoding.planes(); ++p) {
    const std::size_t bytes = encoding.plane_row_bytes(p, encoding.block_cols());
    block.plane[p] = planes.plane[p].subspan(at * bytes, bytes);
  }
  return block;
}

bool is_finite_half(const std::byte* from) noexcept {
  return (load_le<std::uint16_t>(from) & 0x7C00u) != 0x7C00u;
}

bool is_finite_at(DType type, const std::byte* plane, std::size_t index) noexcept {
  switch (type) {
    case DType::kF16:
      return is_finite_half(plane + 2 * index);
    case DType::kBF16:
      return (load_le<std::uint16_t>(plane + 2 * index) & 0x7F80u) != 0x7F80u;
    default:
      return (load_le<std::uint32_t>(plane + 4 * index) & 0x7F800000u) != 0x7F800000u;
  }
}

constexpr std::byte kNoScale{0xFF};  // E8M0's NaN

bool is_no_e4m3(std::byte number) noexcept { return (number | std::byte{0x80}) == kNoScale; }

// Of MLX's small floats.
std::size_t first_broken_small_float(const Encoding& encoding, const ConstPlanes& stored) noexcept {
  const auto first = [](std::span<const std::byte> bytes, const auto& is_broken) {
    return static_cast<std::size_t>(std::ranges::find_if(bytes, is_broken) - bytes.begin());
  };
  if (encoding.layout == Layout::kNvfp4) return first(stored.plane[1], is_no_e4m3);
  const std::size_t scale = first(stored.plane[1], [](std::byte byte) { return byte == kNoScale; });
  if (encoding.layout == Layout::kMxfp4) return scale;
  return std::min(scale, first(stored.plane[0], is_no_e4m3) / encoding.block_cols());
}

// Of formats whose d is in no one place.
std::size_t first_broken_unpacked(const Encoding& encoding, const ConstPlanes& stored,
                                  std::size_t count) noexcept {
  std::size_t b = 0;
  for (; b < count; ++b) {
    FittedBlock block;
    unpack(encoding, block_of(encoding, stored, b), {&block, 1});
    if (!std::isfinite(block.d)) break;
  }
  return b;
}

}  // namespace

float always_room(const Encoding& encoding) noexcept {
  if (encoding.is_plain()) return largest_plain(encoding.dtype);
  if (has_powers_of_two(encoding)) return kMostFitted;
  if (encoding.layout == Layout::kNvfp4) return kMostNvfp4;
  // No step is larger than the largest weight of its block, and no offset than twice that.
  return std::min(largest_stored(grid_of(encoding).scale_type) / 2, kMostFitted);
}

float vanishing(const Encoding& encoding) noexcept {
  if (encoding.layout == Layout::kNvfp4) return kLeastNvfp4;
  if (has_powers_of_two(encoding)) return 0;  // scales reach down to what a float can be
  const DType type = encoding.is_plain() ? encoding.dtype : grid_of(encoding).scale_type;
  return type == DType::kF16 ? 0x1p-25f : 0.0f;
}

std::size_t first_beyond(std::span<const float> values, float limit) noexcept {
  constexpr std::size_t kChunk = 256;
  const std::uint32_t most = std::bit_cast<std::uint32_t>(limit);
  const std::uint32_t room = 0x7FFFFFFFu - most;
  std::size_t at = 0;
  for (; at + kChunk <= values.size(); at += kChunk) {
    // Magnitudes are in order as integers: those beyond the limit are what carries into the sign.
    std::uint32_t carried = 0;
    for (std::size_t i = 0; i < kChunk; ++i) {
      carried |= (std::bit_cast<std::uint32_t>(values[at + i]) & 0x7FFFFFFFu) + room;
    }
    if ((carried & 0x80000000u) != 0) break;
  }
  for (; at < values.size(); ++at) {
    if ((std::bit_cast<std::uint32_t>(values[at]) & 0x7FFFFFFFu) > most) break;
  }
  return at;
}

std::size_t first_without_room(const Encoding& encoding, std::span<const float> weights,
                               std::span<const float> importance, std::uint64_t cols,
                               const ConstPlanes& encoded) {
  if (encoding.is_plain()) return first_beyond(weights, largest_plain(encoding.dtype));
  const std::size_t cut = first_beyond(weights, kMostFitted);
  if (cut < weights.size() || has_powers_of_two(encoding)) return cut;
  const auto size = static_cast<std::size_t>(encoding.block_cols());
  const float limit = always_room(encoding);
  for (std::size_t b = 0; b < weights.size() / size; ++b) {
    const auto block = weights.subspan(b * size, size);
    if (largest_of(block) <= limit) continue;
    const auto columns =
        importance.empty() ? importance : importance.subspan(b * size % cols, size);
    const auto stored = read_block(encoding, block_of(encoding, encoded, b));
    if (!has_room(encoding, block, columns, stored)) return b * size + index_of_largest(block);
  }
  return weights.size();
}

std::size_t first_broken_block(const Encoding& encoding, const ConstPlanes& stored) noexcept {
  if (encoding.is_affine()) {
    const std::size_t count = stored.plane[1].size() / info(encoding.dtype).block_bytes;
    std::size_t b = 0;
    while (b < count && is_finite_at(encoding.dtype, stored.plane[1].data(), b) &&
           is_finite_at(encoding.dtype, stored.plane[2].data(), b)) {
      ++b;
    }
    return b;
  }
  if (encoding.is_small_float()) return first_broken_small_float(encoding, stored);
  const std::size_t bytes = info(encoding.dtype).block_bytes;
  const std::size_t count = stored.plane[0].size() / bytes;
  const Format* format = find_format(encoding);
  if (format == nullptr) return count;
  const BlockLayout& layout = format->layout;
  if (layout.d == BlockLayout::kNone) return first_broken_unpacked(encoding, stored, count);
  for (std::size_t b = 0; b < count; ++b) {
    const std::byte* block = stored.plane[0].data() + b * bytes;
    const bool good = format->grid.scale_type == DType::kF8E8M0 ? block[layout.d] != kNoScale
                                                                : is_finite_half(block + layout.d);
    if (!good) return b;
    if (layout.m != BlockLayout::kNone && !is_finite_half(block + layout.m)) return b;
  }
  return count;
}

}  // namespace pajamas::codec
