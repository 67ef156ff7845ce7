// Q8_0: x = d * q, blocks of 32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/format.h"

namespace pajamas::codec {

struct Q8_0 {
  struct Block {
    F16Bits d;
    std::int8_t qs[32];
  };
  static constexpr Format kFormat{
      .type = DType::kQ8_0,
      // -128 can be stored, but kernels that multiply absolute values may not expect it.
      .grid = {.block = 32, .group = 32, .min_code = -127, .max_code = 127},
      .effort = {.symmetric = {119.0f, 0.5f, 18, false, 1}},
      .layout = {.d = offsetof(Block, d), .low = whole_bytes(offsetof(Block, qs))},
      .error_budget = 0.03};
};

}  // namespace pajamas::codec
