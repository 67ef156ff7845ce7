// Q6_K: 16 groups of 16, x = d * scale * (q - 32).
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/format.h"

namespace pajamas::codec {

struct Q6_K {
  struct Block {
    std::uint8_t ql[128];
    std::uint8_t qh[64];
    std::int8_t scales[16];
    F16Bits d;
  };
  // Each half of 128 columns has 64 bytes of ql: runs 0 and 2 are the low and high nibbles of the
  // first 32, runs 1 and 3 those of the others.
  static constexpr CodeBits kLow{
      offsetof(Block, ql),
      4,
      32,
      8,
      {{{0, 0}, {32, 0}, {0, 4}, {32, 4}, {64, 0}, {96, 0}, {64, 4}, {96, 4}}}};
  static constexpr Format kFormat{
      .type = DType::kQ6_K,
      .grid = {.block = 256,
               .group = 16,
               .min_code = -32,
               .max_code = 31,
               .min_scale = -128,
               .max_scale = 127},
      .effort = {.symmetric = {27.5f, 0.4f, 13, true, 0}, .block = {1, 0.01f, 1, 2}},
      .layout = {.d = offsetof(Block, d),
                 .scales = Scales::kBytes,
                 .scales_at = offsetof(Block, scales),
                 .low = kLow,
                 .high = stacked_runs(offsetof(Block, qh), 2)},
      .better = DType::kQ8_0,
      .narrower = DType::kQ8_0};
};

}  // namespace pajamas::codec
