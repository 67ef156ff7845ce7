// Whole rows of every format, for one instruction set. The including file has included
// codec/isa_includes.h, chosen the instruction set, and opened a namespace of its own with an
// unnamed one inside, so that nothing compiled here can be linked into anything else.
#pragma once

#include "codec/affine.inl"
#include "codec/blocks.inl"
#include "codec/vectors.inl"

template <class Action, class... F>
void with_block_codec(FormatList<F...>, DType type, const Action& action) noexcept {
  (void)((F::kFormat.type == type && (action(typename CodecSelector<F>::Type{}), true)) || ...);
}

// Calls `action` with the codec of an encoding of blocks or groups: each can be read and written.
template <class Action>
void with_codec(const Encoding& encoding, const Action& action) noexcept {
  if (encoding.is_affine()) return action(AffineCodec{encoding});
  if (encoding.layout == Layout::kMxfp4) return action(PlanarE2m1Codec<Mxfp4>{});
  if (encoding.layout == Layout::kNvfp4) return action(PlanarE2m1Codec<Nvfp4>{});
  with_block_codec(BlockFormats{}, encoding.dtype, action);
}

inline void set_single_group(FittedBlock& block) noexcept {
  block.scales[0] = 1;
  block.mins[0] = 1;
}

struct UnpackBlocks {
  const ConstPlanes& planes;
  FittedBlock* blocks;
  std::size_t count;

  template <class Codec>
  void operator()(const Codec& codec) const noexcept {
    for (std::size_t b = 0; b < count; ++b) {
      set_single_group(blocks[b]);
      codec.unpack_at(planes, b, blocks[b]);
    }
  }
};

// The definition of every quantized format: d * scale * code, then + m * min, in float.
inline void apply(const Grid& grid, const FittedBlock& block, float* out) noexcept {
  for (int g = 0; g < grid.groups(); ++g) {
    const float step = block.step(g);
    const float offset = block.offset(g);
    const std::int16_t* codes = block.codes + g * grid.group;
    float* to = out + g * grid.group;
    if (grid.has_offset()) {
      for (int i = 0; i < grid.group; ++i) to[i] = step * static_cast<float>(codes[i]) + offset;
    } else {
      for (int i = 0; i < grid.group; ++i) to[i] = step * static_cast<float>(codes[i]);
    }
  }
}

struct DecodeBlocks {
  const Grid& grid;
  const ConstPlanes& planes;
  float* out;
  std::size_t count;

  template <class Codec>
  void operator()(const Codec& codec) const noexcept {
    FittedBlock block;
    set_single_group(block);
    for (std::size_t b = 0; b < count; ++b) {
      codec.unpack_at(planes, b, block);
      apply(grid, block, out + b * static_cast<std::size_t>(grid.block));
    }
  }
};

// E4M3 by arithmetic on its bits, which becomes vector code: the exponent's bias goes from 7 to
// 127, and what is subnormal is a multiple of 2^-9.
inline void e4m3_to_floats(const std::byte* from, std::size_t count, float* out) noexcept {
  for (std::size_t i = 0; i < count; ++i) {
    const auto bits = static_cast<std::uint32_t>(from[i]);
    const std::uint32_t magnitude = bits & 127u;
    const float multiple = static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1p-9f;
    const std::uint32_t normal = (magnitude << 20) + (120u << 23);
    std::uint32_t value = magnitude < 8 ? std::bit_cast<std::uint32_t>(multiple) : normal;
    value = magnitude == 127 ? 0x7FC00000u : value;
    out[i] = std::bit_cast<float>(value | (bits & 128u) << 24);
  }
}

inline void decode_mxfp8(const ConstPlanes& planes, std::span<float> out) noexcept {
  constexpr std::size_t kGroup = Encoding::mxfp8().group_size;
  e4m3_to_floats(planes.plane[0].data(), out.size(), out.data());
  for (std::size_t g = 0; g < out.size() / kGroup; ++g) {
    const auto scale = std::bit_cast<float>(e8m0_bits(static_cast<Word>(planes.plane[1][g])));
    for (std::size_t i = 0; i < kGroup; ++i) out[g * kGroup + i] *= scale;
  }
}

// Every row has its own copy of the scales of its tiles.
inline void decode_fp8(const Encoding& encoding, const ConstPlanes& planes, std::uint64_t cols,
                       std::span<float> out) noexcept {
  e4m3_to_floats(planes.plane[0].data(), out.size(), out.data());
  const std::uint64_t tiles = (cols + Encoding::kFp8Tile - 1) / Encoding::kFp8Tile;
  const std::uint64_t rows = out.size() / cols;
  for (std::uint64_t row = 0; row < rows; ++row) {
    for (std::uint64_t tile = 0; tile < tiles; ++tile) {
      const float scale = load_scale(encoding.dtype, planes.plane[1].data(), row * tiles + tile);
      const std::uint64_t first = tile * Encoding::kFp8Tile;
      const std::uint64_t left = cols - first;
      const std::uint64_t count = left < Encoding::kFp8Tile ? left : Encoding::kFp8Tile;
      float* to = out.data() + row * cols + first;
      for (std::uint64_t i = 0; i < count; ++i) to[i] *= scale;
    }
  }
}

inline void decode_rows_isa(const Encoding& encoding, const ConstPlanes& planes, std::uint64_t cols,
                            std::span<float> out) {
  if (encoding.is_plain()) return to_floats(encoding.dtype, planes.plane[0], out);
  if (encoding.layout == Layout::kFp8) return decode_fp8(encoding, planes, cols, out);
  if (encoding.layout == Layout::kMxfp8) return decode_mxfp8(planes, out);
  const Grid& grid = find_format(encoding)->grid;
  const std::size_t count = out.size() / static_cast<std::size_t>(grid.block);
  with_codec(encoding, DecodeBlocks{grid, planes, out.data(), count});
}

#include "codec/steps.inl"
