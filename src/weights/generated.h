// Weights that were never trained: a model of any shape and any stored types, made of random
// numbers, for those who measure how fast it runs and not what it says.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/parallel.h"
#include "base/progress.h"
#include "base/scratch_memory.h"
#include "kernels/table.h"
#include "tensor/shape.h"
#include "weights/store.h"

namespace pajamas::weights {

// A tensor to make: what an engine asks for (TensorKey without an expert's number) and how it is
// to be stored.
struct GeneratedTensor {
  model::TensorKey key;
  Shape shape;
  Encoding encoding;
};

// Numbers are normal with the spread of trained weights (matrices so that a product has the size of
// what it multiplies, norms around 1), encoded as any others are: finite, and as slow to decode as
// real ones. No two tensors share memory, so that none is in a cache because another one was read.
// The rows of a matrix repeat from the 256th on, at least: encoding as many weights as a model has
// would take hours.
class GeneratedWeights final : public WeightStore {
 public:
  // Bytes that `tensors` take.
  static std::uint64_t bytes_of(const std::vector<GeneratedTensor>& tensors);

  // `memory` has bytes_of(tensors). Throws Error{kUnsupported} for an encoding that cannot be
  // written row by row, Error{kInterrupted}.
  GeneratedWeights(model::ModelConfig config, const std::vector<GeneratedTensor>& tensors,
                   ScratchMemory memory, const kernels::KernelTable& kernels, const TaskPool& pool,
                   Progress& progress, const StopFlag& stop);

  const model::ModelConfig& config() const noexcept override { return config_; }
  bool contains(model::TensorKey key) const noexcept override;
  using WeightStore::acquire;
  void acquire(std::span<const model::TensorKey> keys,
               std::vector<WeightLease>& leases) const override;
  void prefetch(std::span<const model::TensorKey>) const noexcept override {}
  Residency residency(model::TensorKey key) const noexcept override;

 private:
  model::ModelConfig config_;
  ScratchMemory memory_;
  std::map<model::TensorKey, WeightView> views_;  // whole tensors
};

}  // namespace pajamas::weights
