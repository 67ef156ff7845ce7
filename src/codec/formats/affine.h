// MLX affine: x = scale * q + bias, groups of 32, 64 or 128 columns, 2 to 8 bits. Three planes: the
// codes are one bitstream a row, lowest bit first, so that eight codes fill `bits` bytes.
#pragma once

#include "codec/format.h"

namespace pajamas::codec {

// Requires a known number of bits.
constexpr Format affine_format(int bits, int group, DType scale_type) noexcept {
  Format format{.type = scale_type,
                .grid = {.block = group,
                         .group = group,
                         .max_code = (1 << bits) - 1,
                         .max_min = 1,
                         .scale_type = scale_type},
                .error_budget = bits == 8 ? 0.05 : 0.025};
  Effort& effort = format.effort;
  switch (bits) {
    case 2:
      effort.affine = {.first = 0.85f, .ranges = 1, .walks = 14, .neighbours = 1};
      break;
    case 3:
      effort.affine = {
          .first = 0.85f, .ranges = 1, .walks = 26, .last_radius = 0.4f, .neighbours = 1};
      break;
    case 4:
      effort.phases = {0.8f, 1.12f, 12, 0, 8};
      effort.affine = {.walks = 2, .neighbours = 1};
      break;
    case 5:
      effort.phases = {0.92f, 1.14f, 14, 1, 5};
      effort.affine = {.neighbours = 1};
      break;
    case 6:
      effort.phases = {0.98f, 1.12f, 26, 1, 8};
      effort.affine = {.neighbours = 1};
      break;
    default:
      effort.pairs = {0, 20, 6, 7, 20, 8};
      break;
  }
  return format;
}

}  // namespace pajamas::codec
