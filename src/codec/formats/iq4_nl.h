// IQ4_NL: x = d * kLevels[q], blocks of 32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/format.h"

namespace pajamas::codec {

struct IQ4_NL {
  struct Block {
    F16Bits d;
    std::uint8_t qs[16];
  };
  // Denser around zero, as weights are; lopsided, so the sign of d matters.
  static constexpr std::int8_t kLevels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                              1,    13,   25,  38,  53,  69,  89,  113};
  static constexpr Format kFormat{
      .type = DType::kIQ4_NL,
      .grid = {.block = 32,
               .group = 32,
               .min_code = -127,
               .max_code = 113,
               .book = {.levels = kLevels}},
      .effort = {.symmetric = {94, 4, 12, true, 2}},
      .layout = {.d = offsetof(Block, d), .low = nibble_halves(offsetof(Block, qs))},
      .error_budget = 0.003,
      .better = DType::kQ5_0};
};

}  // namespace pajamas::codec
