// Q4_0: x = d * (q - 8), blocks of 32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/format.h"

namespace pajamas::codec {

struct Q4_0 {
  struct Block {
    F16Bits d;
    std::uint8_t qs[16];
  };
  static constexpr Format kFormat{
      .type = DType::kQ4_0,
      .grid = {.block = 32, .group = 32, .min_code = -8, .max_code = 7},
      .effort = {.symmetric = {7.0f, 0.25f, 9, true, 2}},
      .layout = {.d = offsetof(Block, d), .low = nibble_halves(offsetof(Block, qs))},
      .error_budget = 0.003,
      .better = DType::kQ4_1};
};

}  // namespace pajamas::codec
