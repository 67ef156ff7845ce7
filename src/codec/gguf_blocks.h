// The blocks of GGUF's quantized types, byte for byte (ggml-common.h). Within a block the fields
// are unaligned in the file, so blocks are copied in and out, never pointed at.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace pajamas::codec {

using F16Bits = std::uint16_t;

// Elements j and j + 16 share the byte qs[j]: low nibble, high nibble. The fifth bit of element j
// is bit j of the little-endian word qh.
struct BlockQ4_0 {  // x = d * (q - 8)
  F16Bits d;
  std::uint8_t qs[16];
};
struct BlockQ4_1 {  // x = d * q + m
  F16Bits d, m;
  std::uint8_t qs[16];
};
struct BlockQ5_0 {  // x = d * (q - 16)
  F16Bits d;
  std::uint8_t qh[4];
  std::uint8_t qs[16];
};
struct BlockQ5_1 {  // x = d * q + m
  F16Bits d, m;
  std::uint8_t qh[4];
  std::uint8_t qs[16];
};
struct BlockQ8_0 {  // x = d * q
  F16Bits d;
  std::int8_t qs[32];
};
struct BlockMXFP4 {  // x = 2^(e - 128) * kMxfp4Values[q]
  std::uint8_t e;
  std::uint8_t qs[16];
};

// 16 groups of 16: x = d * (scales & 15) * q - dmin * (scales >> 4). Each half of 128 elements has
// 32 bytes of qs; its four runs of 32 elements sit at shifts 0, 2, 4, 6.
struct BlockQ2_K {
  std::uint8_t scales[16];
  std::uint8_t qs[64];
  F16Bits d, dmin;
};
// 16 groups of 16: x = d * (scale - 32) * (q - 4). qs as in Q2_K; the third bit of element i is
// bit i / 32 of hmask[i % 32]. Scale j: low nibble in scales[j % 8], high bits in scales[8 + j %
// 4].
struct BlockQ3_K {
  std::uint8_t hmask[32];
  std::uint8_t qs[64];
  std::uint8_t scales[12];
  F16Bits d;
};
// 8 groups of 32: x = d * scale * q - dmin * min, six bits each (see unpack_scales_k4). Each run of
// 64 elements has 32 bytes of qs: low nibbles first.
struct BlockQ4_K {
  F16Bits d, dmin;
  std::uint8_t scales[12];
  std::uint8_t qs[128];
};
// As Q4_K; the fifth bit of element i is bit i / 32 of qh[i % 32].
struct BlockQ5_K {
  F16Bits d, dmin;
  std::uint8_t scales[12];
  std::uint8_t qh[32];
  std::uint8_t qs[128];
};
// 16 groups of 16: x = d * scale * (q - 32). Each half of 128: ql[64] holds runs 0 and 2 (low, high
// nibbles of bytes 0..31) and runs 1 and 3 (bytes 32..63); qh[32] holds two more bits of each run.
struct BlockQ6_K {
  std::uint8_t ql[128];
  std::uint8_t qh[64];
  std::int8_t scales[16];
  F16Bits d;
};

// E2M1 codes as twice their value; code 8 is minus zero.
inline constexpr std::int8_t kMxfp4Values[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                                 0, -1, -2, -3, -4, -6, -8, -12};

static_assert(sizeof(BlockQ4_0) == info(DType::kQ4_0).block_bytes);
static_assert(sizeof(BlockQ4_1) == info(DType::kQ4_1).block_bytes);
static_assert(sizeof(BlockQ5_0) == info(DType::kQ5_0).block_bytes);
static_assert(sizeof(BlockQ5_1) == info(DType::kQ5_1).block_bytes);
static_assert(sizeof(BlockQ8_0) == info(DType::kQ8_0).block_bytes);
static_assert(sizeof(BlockMXFP4) == info(DType::kMXFP4).block_bytes);
static_assert(sizeof(BlockQ2_K) == info(DType::kQ2_K).block_bytes);
static_assert(sizeof(BlockQ3_K) == info(DType::kQ3_K).block_bytes);
static_assert(sizeof(BlockQ4_K) == info(DType::kQ4_K).block_bytes);
static_assert(sizeof(BlockQ5_K) == info(DType::kQ5_K).block_bytes);
static_assert(sizeof(BlockQ6_K) == info(DType::kQ6_K).block_bytes);

}  // namespace pajamas::codec
