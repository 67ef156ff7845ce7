// MLX methods of two widths: which tensors get the larger one.
#pragma once

#include "model/architecture.h"
#include "quantize/method.h"

namespace pajamas::quantize {

// Bits of a matrix of a model with `layers` layers, under a method that may be a mix. Routers and
// what the user says of single tensors are the caller's.
//   kStock: as mlx-lm's mixed_quant_predicate: the output, and v and down in the first and last
//           eighth of the layers and in every third between.
//   kRoles: embedding and output; v, the output of attention and down. Of a mixture all of
//   attention,
//           which is few weights that every token uses, and no expert.
int mixed_bits(const MlxMethodInfo& method, const model::TensorSpec& tensor, int layers,
               bool is_mixture) noexcept;

}  // namespace pajamas::quantize
