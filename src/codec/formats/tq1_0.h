// TQ1_0: x = d * (digit - 1), blocks of 256; five digits of base three a byte.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/format.h"

namespace pajamas::codec {

struct TQ1_0 {
  struct Block {
    std::uint8_t qs[48];
    std::uint8_t qh[4];
    F16Bits d;
  };
  static constexpr Format kFormat{
      .type = DType::kTQ1_0,
      .grid = {.block = 256, .group = 256, .min_code = -1, .max_code = 1},
      .effort = {.symmetric = {0.8f, 1.2f, 20, false, 2, true}},
      .layout = {.d = offsetof(Block, d)},
      .better = DType::kTQ2_0,
      .narrower = DType::kQ4_0};

  // Columns run by run: `digits` runs of `bytes` columns in as many bytes, the first run in the
  // highest digit.
  struct Digits {
    int at, bytes, digits;
  };
  static constexpr Digits kDigits[3] = {{0, 32, 5}, {32, 16, 5}, {48, 4, 4}};
};

}  // namespace pajamas::codec
