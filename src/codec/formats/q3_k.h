// Q3_K: 16 groups of 16, x = d * (scale - 32) * (q - 4).
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/format.h"

namespace pajamas::codec {

struct Q3_K {
  struct Block {
    std::uint8_t hmask[32];
    std::uint8_t qs[64];
    std::uint8_t scales[12];
    F16Bits d;
  };
  static constexpr Format kFormat{
      .type = DType::kQ3_K,
      .grid = {.block = 256,
               .group = 16,
               .min_code = -4,
               .max_code = 3,
               .min_scale = -32,
               .max_scale = 31},
      .effort = {.symmetric = {2.75f, 0.25f, 8, true, 1}, .block = {3, 0.03f, 0, 1}},
      .layout = {.d = offsetof(Block, d),
                 .scales = Scales::kSixBitsBiased,
                 .scales_at = offsetof(Block, scales),
                 .low = stacked_runs(offsetof(Block, qs), 2),
                 .high = stacked_runs(offsetof(Block, hmask), 1)},
      .error_budget = 0.003,
      .better = DType::kQ4_K,
      .narrower = DType::kQ4_0};
};

}  // namespace pajamas::codec
