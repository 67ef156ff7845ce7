// Q2_K: 16 groups of 16, x = d * (scales & 15) * q - dmin * (scales >> 4).
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/format.h"

namespace pajamas::codec {

struct Q2_K {
  struct Block {
    std::uint8_t scales[16];
    std::uint8_t qs[64];
    F16Bits d, dmin;
  };
  static constexpr Format kFormat{.type = DType::kQ2_K,
                                  .grid = {.block = 256,
                                           .group = 16,
                                           .max_code = 3,
                                           .min_scale = 0,
                                           .max_scale = 15,
                                           .max_min = 15},
                                  .effort = {.affine = {.shrink_step = 0.1f,
                                                        .ranges = 5,
                                                        .single_ends = true,
                                                        .walks = 8,
                                                        .radius = 0.4f,
                                                        .last_radius = 0.2f,
                                                        .offset_not_positive = true},
                                             .block = {2, 0.06f, 1, 1},
                                             .pairs = {2, 5, 1, 3, 0, 0}},
                                  .layout = {.d = offsetof(Block, d),
                                             .m = offsetof(Block, dmin),
                                             .subtracted = true,
                                             .scales = Scales::kNibbles,
                                             .scales_at = offsetof(Block, scales),
                                             .low = stacked_runs(offsetof(Block, qs), 2)},
                                  .better = DType::kQ3_K,
                                  .narrower = DType::kQ4_0};
};

}  // namespace pajamas::codec
