// A stored format is one row: everything that encoder, decoder, products, planner and checks have
// to know about it. The rows are codec/formats/, one file each; docs/adding-a-format.md says how.
#pragma once

#include "codec/effort.h"
#include "codec/grid.h"
#include "codec/layout.h"
#include "tensor/encoding.h"

namespace pajamas::codec {

struct Format {
  DType type = DType::kF32;  // name, id in files, and size of a block: kDTypes in tensor/dtype.h
  Grid grid{};
  Effort effort{};
  BlockLayout layout{};  // not of MLX's planes
  // By how much an encoding that knows how much columns matter may exceed the error of one that
  // does not, on weights whose columns matter alike (quantize/importance.h).
  double error_budget = 0.02;
  DType better = DType::kCount;    // the next of its ladder; none above 8 bits
  DType narrower = DType::kCount;  // what llama.cpp stores where rows do not fill the blocks
};

// The format of any encoding of groups or blocks that can be decoded; nothing for plain numbers,
// numbers in E4M3 (FP8, MXFP8) and what is not known here.
const Format* find_format(const Encoding& encoding) noexcept;

}  // namespace pajamas::codec
