// Watching what enters the products of a model: for importance matrices, Gram matrices and whatever
// else is learned from activations.
#pragma once

#include <cstdint>
#include <span>

#include "model/role.h"

namespace pajamas::runtime {

// Activations, row after row without gaps: [count][columns].
struct Rows {
  std::span<const float> values;
  std::size_t count;
};

class LinearTap {
 public:
  virtual ~LinearTap() = default;
  // `x` is about to be multiplied with `matrices`, all of which take it as it is: one call where
  // several share an input (q, k and v; gate and up), before the products, on the thread that runs
  // the layer. Of a matrix with experts the keys name one, and `x` are the rows that were routed to
  // it, in the order of the batch; experts come in ascending order. Row i of `x` is of row
  // batch_rows[i] of the batch (of logits: of the row that was asked for). The spans are valid
  // during the call.
  virtual void input(std::span<const model::TensorKey> matrices, Rows x,
                     std::span<const std::uint32_t> batch_rows) = 0;
};

}  // namespace pajamas::runtime
