// Q5_0: x = d * (q - 16), blocks of 32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/format.h"

namespace pajamas::codec {

struct Q5_0 {
  struct Block {
    F16Bits d;
    std::uint8_t qh[4];
    std::uint8_t qs[16];
  };
  static constexpr Format kFormat{
      .type = DType::kQ5_0,
      .grid = {.block = 32, .group = 32, .min_code = -16, .max_code = 15},
      .effort = {.symmetric = {13.0f, 0.2f, 20, true, 1}},
      .layout = {.d = offsetof(Block, d),
                 .low = nibble_halves(offsetof(Block, qs)),
                 .fifth_at = offsetof(Block, qh)},
      .error_budget = 0.005,
      .better = DType::kQ5_1};
};

}  // namespace pajamas::codec
