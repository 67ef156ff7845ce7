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
  if (encoding.layout == Layout::kMxfp4) return action(PlanarMxfp4Codec{});
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

// Every row has its own copy of the scales of its tiles.
inline void decode_fp8(const Encoding& encoding, const ConstPlanes& planes, std::uint64_t cols,
                       std::span<float> out) noexcept {
  to_floats(DType::kF8E4M3, planes.plane[0], out);
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
  const Grid& grid = find_format(encoding)->grid;
  const std::size_t count = out.size() / static_cast<std::size_t>(grid.block);
  with_codec(encoding, DecodeBlocks{grid, planes, out.data(), count});
}

#include "codec/steps.inl"
