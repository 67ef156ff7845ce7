#include "codec/codec.h"

#include <algorithm>
#include <limits>

#include "codec/isa_includes.h"
#include "codec/room.h"

namespace pajamas::codec {
namespace {
#include "codec/rows.inl"
}  // namespace

bool can_decode(const Encoding& encoding) noexcept {
  if (encoding.layout == Layout::kFp8) return is_plain_float(encoding.dtype);
  return (encoding.is_plain() && converts_to_float(encoding.dtype)) || can_encode(encoding);
}

bool can_encode(const Encoding& encoding) noexcept {
  if (encoding.is_plain()) return is_plain_float(encoding.dtype);
  if (encoding.layout == Layout::kMxfp8) return true;
  return find_format(encoding) != nullptr;
}

Grid grid_of(const Encoding& encoding) noexcept {
  const Format* format = find_format(encoding);
  return format == nullptr ? Grid{} : format->grid;
}

void decode_rows(const Encoding& encoding, const ConstPlanes& planes, std::uint64_t cols,
                 std::span<float> out) {
  decode_rows_isa(encoding, planes, cols, out);
}

void unpack(const Encoding& encoding, const ConstPlanes& planes,
            std::span<FittedBlock> blocks) noexcept {
  with_codec(encoding, UnpackBlocks{planes, blocks.data(), blocks.size()});
}

void fit(const Encoding& encoding, std::span<const float> weights,
         std::span<const float> importance, std::span<FittedBlock> blocks) noexcept {
  fit_rows(encoding, weights, importance, weights.size(), blocks);
}

void round(const Encoding& encoding, std::span<const float> weights,
           std::span<const float> importance, std::span<FittedBlock> blocks) noexcept {
  round_rows(encoding, weights, importance, weights.size(), blocks);
}

void fit_rows(const Encoding& encoding, std::span<const float> weights,
              std::span<const float> importance, std::uint64_t cols,
              std::span<FittedBlock> blocks) {
  fit_rows_isa(encoding, weights, importance, cols, blocks);
}

void round_rows(const Encoding& encoding, std::span<const float> weights,
                std::span<const float> importance, std::uint64_t cols,
                std::span<FittedBlock> blocks) {
  round_rows_isa(encoding, weights, importance, cols, blocks);
}

void round_feedback(const Encoding& encoding, const FeedbackRows& rows) {
  round_feedback_isa(encoding, rows);
}

int round_one(const Grid& grid, float weight, float step, float offset) noexcept {
  const float ratio = step == 0 ? 0 : (weight - offset) / step;
  return static_cast<int>(nearest_code_of(grid, ratio));
}

namespace {
struct PackBlocks {
  std::span<const FittedBlock> blocks;
  const Planes& planes;

  template <class Codec>
  void operator()(const Codec& codec) const noexcept {
    for (std::size_t b = 0; b < blocks.size(); ++b) codec.pack_at(blocks[b], planes, b);
  }
};
}  // namespace

void pack(const Encoding& encoding, std::span<const FittedBlock> blocks,
          const Planes& planes) noexcept {
  with_codec(encoding, PackBlocks{blocks, planes});
}

namespace {

constexpr std::size_t kNibbles = offsetof(Mxfp4::Block, qs);

// Nibbles j and j + 16 of a GGUF block against 2j and 2j + 1 of the planar arrangement.
void planar_to_block(const std::byte* codes, std::byte scale, std::byte* block) noexcept {
  block[offsetof(Mxfp4::Block, e)] = scale;
  const auto nibble = [&](int i) { return (codes[i / 2] >> (i % 2 == 0 ? 0 : 4)) & std::byte{15}; };
  for (int j = 0; j < 16; ++j) block[kNibbles + j] = nibble(j) | nibble(j + 16) << 4;
}

void block_to_planar(const std::byte* block, std::byte* codes, std::byte& scale) noexcept {
  scale = block[offsetof(Mxfp4::Block, e)];
  const auto nibble = [&](int i) {
    return (block[kNibbles + i % 16] >> (i < 16 ? 0 : 4)) & std::byte{15};
  };
  for (int j = 0; j < 16; ++j) codes[j] = nibble(2 * j) | nibble(2 * j + 1) << 4;
}

}  // namespace

bool can_repack(const Encoding& from, const Encoding& to) noexcept {
  return from == to || (from.is_mxfp4() && to.is_mxfp4());
}

void repack_rows(const Encoding& from, const ConstPlanes& stored, const Encoding& to,
                 const Planes& out) noexcept {
  if (from == to) {
    for (std::size_t p = 0; p < from.planes(); ++p) {
      std::copy(stored.plane[p].begin(), stored.plane[p].end(), out.plane[p].begin());
    }
    return;
  }
  constexpr std::size_t kBlockBytes = sizeof(Mxfp4::Block);
  constexpr std::size_t kCodeBytes = PlanarE2m1Codec<Mxfp4>::kBytes;
  const bool to_block = to.layout == Layout::kStream;
  const std::size_t blocks = to_block ? out.plane[0].size() / kBlockBytes : out.plane[1].size();
  for (std::size_t b = 0; b < blocks; ++b) {
    if (to_block) {
      planar_to_block(stored.plane[0].data() + b * kCodeBytes, stored.plane[1][b],
                      out.plane[0].data() + b * kBlockBytes);
    } else {
      block_to_planar(stored.plane[0].data() + b * kBlockBytes,
                      out.plane[0].data() + b * kCodeBytes, out.plane[1][b]);
    }
  }
}

void encode_rows(const Encoding& encoding, std::span<const float> weights,
                 std::span<const float> importance, std::uint64_t cols, const Planes& planes) {
  encode_rows_isa(encoding, weights, importance, cols, planes);
}

std::size_t first_non_finite(std::span<const float> values) noexcept {
  return first_beyond(values, std::numeric_limits<float>::max());
}

}  // namespace pajamas::codec
