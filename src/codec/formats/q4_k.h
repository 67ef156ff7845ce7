// Q4_K: 8 groups of 32, x = d * scale * q - dmin * min.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/format.h"

namespace pajamas::codec {

struct Q4_K {
  struct Block {
    F16Bits d, dmin;
    std::uint8_t scales[12];
    std::uint8_t qs[128];
  };
  static constexpr Format kFormat{.type = DType::kQ4_K,
                                  .grid = {.block = 256,
                                           .group = 32,
                                           .max_code = 15,
                                           .min_scale = 0,
                                           .max_scale = 63,
                                           .max_min = 63},
                                  .effort = {.affine = {.ranges = 1,
                                                        .walks = 12,
                                                        .radius = 0.8f,
                                                        .last_radius = 0.4f,
                                                        .offset_not_positive = true},
                                             .block = {2, 0.03f, 0, 1},
                                             .pairs = {5, 12, 1, 5, 0, 0}},
                                  .layout = {.d = offsetof(Block, d),
                                             .m = offsetof(Block, dmin),
                                             .subtracted = true,
                                             .scales = Scales::kSixBitPairs,
                                             .scales_at = offsetof(Block, scales),
                                             .low = stacked_runs(offsetof(Block, qs), 4)},
                                  .error_budget = 0.006,
                                  .better = DType::kQ5_K,
                                  .narrower = DType::kQ5_0};
};

}  // namespace pajamas::codec
