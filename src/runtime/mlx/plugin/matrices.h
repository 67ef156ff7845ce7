// The weights of a model as arrays of MLX.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "model/role.h"
#include "runtime/mlx/plugin/calls.h"
#include "weights/store.h"

namespace pajamas::runtime {

// Each is made when it is first asked for, in place where its rows lie side by side in a file.
class MlxMatrices {
 public:
  // Vectors, scales and offsets are kept as `type`; codes and plain matrices stay as they are
  // stored.
  MlxMatrices(std::shared_ptr<const weights::WeightStore> store, mlx::core::Dtype type);

  const model::ModelConfig& config() const noexcept { return store_->config(); }
  bool has(model::TensorKey key) const noexcept { return store_->contains(key); }
  // Those that are not there yet. A hint.
  void prefetch(std::span<const model::TensorKey> keys) const noexcept;

  // Of a role that has experts: the stack. Throws as WeightStore::acquire does.
  const MlxMatrix& of(model::TensorKey key);
  // A vector, or a stack of them ([experts][cols]), as `type`; null where the model has none.
  const mlx::core::array* vector(model::TensorKey key);

 private:
  MlxMatrix make(model::TensorKey key) const;
  // A key for each expert, or the key itself where it has none.
  std::vector<model::TensorKey> parts_of(model::TensorKey key) const;

  std::shared_ptr<const weights::WeightStore> store_;
  mlx::core::Dtype type_;
  std::map<model::TensorKey, MlxMatrix> matrices_;
  std::map<model::TensorKey, std::optional<mlx::core::array>> vectors_;
};

}  // namespace pajamas::runtime
