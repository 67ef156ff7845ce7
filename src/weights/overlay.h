// Weights of which some have been replaced: a layer that was just quantized, over the checkpoint
// that it came from.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "weights/store.h"

namespace pajamas::weights {

// A whole tensor in memory, plane by plane: [rows][plane row bytes] without gaps, rows that share
// one in storage (Encoding::rows_sharing) once.
struct HeldTensor {
  Encoding encoding;
  std::uint64_t rows = 0;
  std::uint64_t cols = 0;
  std::array<std::vector<std::byte>, Encoding::kMaxPlanes> planes;

  WeightView view() const noexcept;
};

// Leases what was replaced from memory and all else from `base`. An engine that is open sees a
// matrix that is replaced from the next product on; the small tensors (norms, biases, sinks, see
// runtime) it has decoded by then are those from when it was opened.
class OverlayWeights final : public WeightStore {
 public:
  explicit OverlayWeights(std::shared_ptr<const WeightStore> base) : base_(std::move(base)) {}

  // `key` names no expert: a stack is replaced as a whole. Leases of what was there before stay
  // valid. Throws Error{kNotFound} where the base has no such tensor; shape and sizes must fit it.
  void replace(model::TensorKey key, HeldTensor tensor);
  // What the base has shows again. Gives the memory back once nobody leases it.
  void restore(int layer);
  // Bytes of the tensors that are replaced now.
  std::uint64_t bytes() const noexcept;

  const model::ModelConfig& config() const noexcept override { return base_->config(); }
  bool contains(model::TensorKey key) const noexcept override { return base_->contains(key); }
  using WeightStore::acquire;
  void acquire(std::span<const model::TensorKey> keys,
               std::vector<WeightLease>& leases) const override;
  void prefetch(std::span<const model::TensorKey> keys) const noexcept override;
  void drop(std::span<const model::TensorKey> keys, Residency before) const noexcept override;
  Residency residency(model::TensorKey key) const noexcept override;

 private:
  std::shared_ptr<const HeldTensor> find(model::TensorKey key) const noexcept;

  std::shared_ptr<const WeightStore> base_;
  mutable std::mutex mutex_;  // of the map
  std::map<model::TensorKey, std::shared_ptr<const HeldTensor>> replaced_;
};

}  // namespace pajamas::weights
