// IQ4_XS: 8 groups of 32, x = d * (scale - 32) * kLevels[q].
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/formats/iq4_nl.h"

namespace pajamas::codec {

struct IQ4_XS {
  struct Block {
    F16Bits d;
    std::uint16_t scales_h;
    std::uint8_t scales_l[4];
    std::uint8_t qs[128];
  };
  static constexpr Format kFormat{
      .type = DType::kIQ4_XS,
      .grid = {.block = 256,
               .group = 32,
               .min_code = -127,
               .max_code = 113,
               .min_scale = -32,
               .max_scale = 31,
               .book = {.levels = IQ4_NL::kLevels}},
      .effort = {.symmetric = {94, 4, 12, true, 2}, .block = {3, 0.015f, 1, 2}},
      .layout = {.d = offsetof(Block, d),
                 .scales = Scales::kSixBitsApart,
                 .scales_at = offsetof(Block, scales_h),
                 .low = stacked_nibble_halves(offsetof(Block, qs))},
      .error_budget = 0.003,
      .better = DType::kQ5_K,
      .narrower = DType::kIQ4_NL};
};

}  // namespace pajamas::codec
