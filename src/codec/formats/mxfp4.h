// MXFP4: x = 2^(e - 128) * kLevels[q], blocks of 32; in GGUF blocks and in two planes: nibbles in
// the order of columns, the first in the low one, and scales.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/format.h"

namespace pajamas::codec {

struct Mxfp4 {
  struct Block {
    std::uint8_t e;
    std::uint8_t qs[16];
  };
  // E2M1 as twice its value; code 8 is minus zero.
  static constexpr std::int8_t kLevels[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                              0, -1, -2, -3, -4, -6, -8, -12};
  static constexpr Format kFormat{
      .type = DType::kMXFP4,
      .grid = {.block = 32,
               .group = 32,
               .min_code = -12,
               .max_code = 12,
               .scale_type = DType::kF8E8M0,
               .book = {.levels = kLevels, .small_float = true}},
      .layout = {.d = offsetof(Block, e), .low = nibble_halves(offsetof(Block, qs))},
      .better = DType::kQ5_0};
};

}  // namespace pajamas::codec
