// NVFP4 as MLX has it: x = d * kLevels[q], groups of 16 whose d is half of an E4M3; two planes as
// MXFP4's (formats/mxfp4.h). What GGUF calls so is packed in another way and not known here.
#pragma once

#include "codec/format.h"
#include "codec/formats/mxfp4.h"

namespace pajamas::codec {

struct Nvfp4 {
  static constexpr Format kFormat{
      .type = DType::kNVFP4,
      .grid = {.block = 16,
               .group = 16,
               .min_code = -12,
               .max_code = 12,
               .scale_type = DType::kF8E4M3,
               .unit = 0.5f,
               .book = {.levels = Mxfp4::kLevels, .small_float = true}}};
};

}  // namespace pajamas::codec
