// Q5_K: 8 groups of 32, x = d * scale * q - dmin * min.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/format.h"

namespace pajamas::codec {

struct Q5_K {
  struct Block {
    F16Bits d, dmin;
    std::uint8_t scales[12];
    std::uint8_t qh[32];
    std::uint8_t qs[128];
  };
  static constexpr Format kFormat{.type = DType::kQ5_K,
                                  .grid = {.block = 256,
                                           .group = 32,
                                           .max_code = 31,
                                           .min_scale = 0,
                                           .max_scale = 63,
                                           .max_min = 63},
                                  .effort = {.affine = {.ranges = 1,
                                                        .walks = 16,
                                                        .radius = 0.8f,
                                                        .last_radius = 0.4f,
                                                        .offset_not_positive = true},
                                             .block = {4, 0.03f, 1, 1},
                                             .pairs = {9, 20, 2, 6, 0, 0}},
                                  .layout = {.d = offsetof(Block, d),
                                             .m = offsetof(Block, dmin),
                                             .subtracted = true,
                                             .scales = Scales::kSixBitPairs,
                                             .scales_at = offsetof(Block, scales),
                                             .low = stacked_runs(offsetof(Block, qs), 4),
                                             .high = stacked_runs(offsetof(Block, qh), 1)},
                                  .error_budget = 0.012,
                                  .better = DType::kQ6_K,
                                  .narrower = DType::kQ5_1};
};

}  // namespace pajamas::codec
