// The small tensors of a model as floats, decoded once when an engine opens.
#pragma once

#include <map>
#include <span>

#include "kernels/table.h"
#include "model/role.h"
#include "runtime/native/cpu/aligned.h"
#include "weights/store.h"

namespace pajamas::runtime {

// Norms, biases and sinks, those of single experts excepted: they belong to their expert and come
// and go with it.
class Constants {
 public:
  // Throws Error{kNotFound} where a norm is missing.
  Constants(const kernels::KernelTable& kernels, const weights::WeightStore& store);

  // Empty where the model has none.
  std::span<const float> of(model::TensorKey key) const noexcept;

 private:
  std::map<model::TensorKey, FloatBuffer> vectors_;
};

}  // namespace pajamas::runtime
