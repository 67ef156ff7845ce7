// TQ2_0: x = d * (q - 1), blocks of 256.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/format.h"

namespace pajamas::codec {

struct TQ2_0 {
  struct Block {
    std::uint8_t qs[64];
    F16Bits d;
  };
  static constexpr Format kFormat{
      .type = DType::kTQ2_0,
      .grid = {.block = 256, .group = 256, .min_code = -1, .max_code = 1},
      .effort = {.symmetric = {0.8f, 1.2f, 20, false, 2, true}},
      .layout = {.d = offsetof(Block, d), .low = stacked_runs(offsetof(Block, qs), 2)},
      .better = DType::kQ2_K,
      .narrower = DType::kQ4_0};
};

}  // namespace pajamas::codec
