#include "codec/codec.h"

#include <algorithm>
#include <limits>

#include "codec/isa_includes.h"
#include "codec/room.h"

namespace pajamas::codec {
namespace {
#include "codec/rows.inl"
}  // namespace

namespace {

constexpr bool affine_is_known(const Encoding& e) noexcept {
  const bool bits = (e.bits >= 2 && e.bits <= 6) || e.bits == 8;
  const bool group = e.group_size == 32 || e.group_size == 64 || e.group_size == 128;
  return bits && group && is_plain_float(e.dtype);
}

}  // namespace

bool can_decode(const Encoding& encoding) noexcept {
  if (encoding.is_affine()) return affine_is_known(encoding);
  if (encoding.layout == Layout::kFp8) return is_plain_float(encoding.dtype);
  return (encoding.layout == Layout::kStream && converts_to_float(encoding.dtype)) ||
         can_encode(encoding);
}

bool can_encode(const Encoding& encoding) noexcept {
  if (encoding.is_affine()) return affine_is_known(encoding);
  if (encoding.is_mxfp4()) return true;
  if (encoding.layout != Layout::kStream) return false;
  return is_plain_float(encoding.dtype) ||
         (encoding.dtype >= DType::kQ4_0 && encoding.dtype <= DType::kQ6_K);
}

Grid grid_of(const Encoding& encoding) noexcept {
  if (encoding.is_affine()) {
    return {encoding.group_size, encoding.group_size, 0, (1 << encoding.bits) - 1, 1, 1, 1,
            encoding.dtype};
  }
  switch (encoding.dtype) {
    case DType::kQ4_0:
      return {.block = 32, .group = 32, .min_code = -8, .max_code = 7};
    case DType::kQ4_1:
      return {.block = 32, .group = 32, .max_code = 15, .max_min = 1};
    case DType::kQ5_0:
      return {.block = 32, .group = 32, .min_code = -16, .max_code = 15};
    case DType::kQ5_1:
      return {.block = 32, .group = 32, .max_code = 31, .max_min = 1};
    // -128 can be stored, but kernels that multiply absolute values may not expect it.
    case DType::kQ8_0:
      return {.block = 32, .group = 32, .min_code = -127, .max_code = 127};
    case DType::kMXFP4:
      return {.block = 32,
              .group = 32,
              .min_code = -12,
              .max_code = 12,
              .scale_type = DType::kF32,
              .e2m1 = true};
    case DType::kQ2_K:
      return {
          .block = 256, .group = 16, .max_code = 3, .min_scale = 0, .max_scale = 15, .max_min = 15};
    case DType::kQ3_K:
      return {.block = 256,
              .group = 16,
              .min_code = -4,
              .max_code = 3,
              .min_scale = -32,
              .max_scale = 31};
    case DType::kQ4_K:
      return {.block = 256,
              .group = 32,
              .max_code = 15,
              .min_scale = 0,
              .max_scale = 63,
              .max_min = 63};
    case DType::kQ5_K:
      return {.block = 256,
              .group = 32,
              .max_code = 31,
              .min_scale = 0,
              .max_scale = 63,
              .max_min = 63};
    case DType::kQ6_K:
      return {.block = 256,
              .group = 16,
              .min_code = -32,
              .max_code = 31,
              .min_scale = -128,
              .max_scale = 127};
    default:
      return {.block = 1, .group = 1};
  }
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
  const Grid grid = grid_of(encoding);
  const Effort effort = effort_for(encoding);
  const auto block = static_cast<std::size_t>(grid.block);
  const auto full = static_cast<std::size_t>(kLanes / grid.groups());
  const float* columns = importance.empty() ? nullptr : importance.data();
  for (std::size_t first = 0; first < blocks.size(); first += full) {
    const std::size_t now = std::min(full, blocks.size() - first);
    const Run run{weights.data() + first * block, columns, weights.size(), first * block};
    fit_run(grid, effort, run, &blocks[first], static_cast<int>(now));
  }
}

void round(const Encoding& encoding, std::span<const float> weights,
           std::span<FittedBlock> blocks) noexcept {
  const Grid grid = grid_of(encoding);
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    round_block(grid, weights.data() + b * static_cast<std::size_t>(grid.block), blocks[b]);
  }
}

int round_one(const Grid& grid, float weight, float step, float offset) noexcept {
  if (step == 0) return 0;
  const float ratio = (weight - offset) / step;
  if (grid.e2m1) return static_cast<int>(nearest_e2m1(ratio));
  return static_cast<int>(
      nearest_code(ratio, static_cast<float>(grid.min_code), static_cast<float>(grid.max_code)));
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

// Nibbles j and j + 16 of a GGUF block against 2j and 2j + 1 of the planar arrangement.
void planar_to_block(const std::byte* codes, std::byte scale, std::byte* block) noexcept {
  block[0] = scale;
  const auto nibble = [&](int i) { return (codes[i / 2] >> (i % 2 == 0 ? 0 : 4)) & std::byte{15}; };
  for (int j = 0; j < 16; ++j) block[1 + j] = nibble(j) | nibble(j + 16) << 4;
}

void block_to_planar(const std::byte* block, std::byte* codes, std::byte& scale) noexcept {
  scale = block[0];
  const auto nibble = [&](int i) {
    return (block[1 + i % 16] >> (i < 16 ? 0 : 4)) & std::byte{15};
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
  constexpr std::size_t kBlockBytes = sizeof(BlockMXFP4), kCodeBytes = 16;
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
