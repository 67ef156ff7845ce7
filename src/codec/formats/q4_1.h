// Q4_1: x = d * q + m, blocks of 32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/format.h"

namespace pajamas::codec {

struct Q4_1 {
  struct Block {
    F16Bits d, m;
    std::uint8_t qs[16];
  };
  static constexpr Format kFormat{
      .type = DType::kQ4_1,
      .grid = {.block = 32, .group = 32, .max_code = 15, .max_min = 1},
      .effort = {.affine = {.walks = 2, .neighbours = 1}, .phases = {0.8f, 1.15f, 12, 0, 5}},
      .layout = {.d = offsetof(Block, d),
                 .m = offsetof(Block, m),
                 .low = nibble_halves(offsetof(Block, qs))},
      // llama.cpp searches well where it is given a matrix, be it one of ones.
      .error_budget = 0.0015,
      .better = DType::kQ5_0};
};

}  // namespace pajamas::codec
