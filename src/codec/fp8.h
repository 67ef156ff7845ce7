// E4M3 with one scale for a tile of 128 by 128 weights (Layout::kFp8), or a power of two for every
// 32 of a row (Layout::kMxfp8): the encoders. The decoders are with those of the other formats
// (codec/rows.inl).
#pragma once

#include <cstdint>
#include <span>

#include "tensor/encoding.h"

namespace pajamas::codec {

// The largest number of E4M3.
inline constexpr float kMostE4m3 = 448;

// The code of the nearest number of E4M3, ties to even; what is larger than the largest becomes the
// largest. Requires a finite value.
std::uint8_t float_to_e4m3(float value) noexcept;

// Encodes whole rows of `cols` columns, the first of which begins a tile, as Encoding::fp8(F32)
// stores them: rows of a tile share one row of scales. A tile's scale is the one of least squared
// error among the smallest that cuts off nothing and seven larger ones within a factor of 2; a tile
// of zeros has 1. The same bytes on every machine. Requires finite weights.
void encode_fp8(std::span<const float> weights, std::uint64_t cols, const Planes& planes) noexcept;

// Whole rows of `cols` columns as Encoding::mxfp8() stores them; contract of codec::encode_rows. Of
// the smallest power of two that cuts off nothing and half of it the one of least squared error.
void encode_mxfp8(std::span<const float> weights, std::span<const float> importance,
                  std::uint64_t cols, const Planes& planes) noexcept;

}  // namespace pajamas::codec
