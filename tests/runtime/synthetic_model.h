// A model made of random numbers, with every feature of attention, held in memory.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "base/error.h"
#include "runtime/numbers.h"
#include "weights/store.h"

namespace pajamas::runtime {

// Matrices are float32. The feed-forward half is zero, so that a layer is its attention.
class SyntheticWeights final : public weights::WeightStore {
 public:
  explicit SyntheticWeights(const model::ModelConfig& config) : config_(config) {
    using model::Role;
    Numbers numbers(config.layers + 7);
    const auto add = [&](Role role, int layer, std::uint64_t rows, std::uint64_t cols, float scale,
                         float offset = 0) {
      Matrix& to = matrices_[{role, layer}];
      to = {rows, cols, numbers.normals(rows * cols, scale)};
      for (float& v : to.values) v += offset;
    };
    const std::uint64_t hidden = config.hidden;
    add(Role::kTokenEmbedding, -1, config.vocab, hidden, 1);
    add(Role::kOutput, -1, config.vocab, hidden, 1);
    add(Role::kOutputNorm, -1, 1, hidden, 0.1f, 1);
    for (int i = 0; i < static_cast<int>(config.layers); ++i) {
      add(Role::kAttnNorm, i, 1, hidden, 0.1f, 1);
      add(Role::kAttnQ, i, config.q_rows(), hidden, 0.3f);
      add(Role::kAttnK, i, config.kv_rows(), hidden, 0.3f);
      add(Role::kAttnV, i, config.kv_rows(), hidden, 0.3f);
      add(Role::kAttnOutput, i, hidden, config.q_rows(), 0.3f);
      add(Role::kAttnQBias, i, 1, config.q_rows(), 0.5f);
      add(Role::kAttnKBias, i, 1, config.kv_rows(), 0.5f);
      add(Role::kAttnVBias, i, 1, config.kv_rows(), 0.5f);
      add(Role::kAttnOutputBias, i, 1, hidden, 0.5f);
      add(Role::kAttnQNorm, i, 1, config.head_dim, 0.3f, 1);
      add(Role::kAttnKNorm, i, 1, config.head_dim, 0.3f, 1);
      add(Role::kAttnSinks, i, 1, config.heads, 1, 1);
      add(Role::kFfnNorm, i, 1, hidden, 0, 1);
      add(Role::kFfnGate, i, config.ffn, hidden, 0);
      add(Role::kFfnUp, i, config.ffn, hidden, 0);
      add(Role::kFfnDown, i, hidden, config.ffn, 0);
    }
  }

  const model::ModelConfig& config() const noexcept override { return config_; }
  bool contains(model::TensorKey key) const noexcept override { return matrices_.contains(key); }
  using WeightStore::acquire;
  void acquire(std::span<const model::TensorKey> keys,
               std::vector<weights::WeightLease>& leases) const override {
    for (const model::TensorKey key : keys) {
      const Matrix& matrix = matrices_.at(key);
      weights::WeightView view{{DType::kF32}, matrix.rows, matrix.cols, {}};
      view.planes[0] = {std::as_bytes(std::span(matrix.values)), matrix.cols * sizeof(float), 0};
      leases.emplace_back(view);
    }
  }
  void prefetch(std::span<const model::TensorKey>) const noexcept override {}
  weights::Residency residency(model::TensorKey) const noexcept override {
    return weights::Residency::kResident;
  }
  const std::vector<float>& values(model::Role role, int layer = -1) const {
    return matrices_.at({role, layer}).values;
  }

 private:
  struct Matrix {
    std::uint64_t rows = 0;
    std::uint64_t cols = 0;
    std::vector<float> values;
  };
  model::ModelConfig config_;
  std::map<model::TensorKey, Matrix> matrices_;
};

inline model::ModelConfig synthetic_config() {
  model::ModelConfig config;
  config.layers = 2;
  config.hidden = 48;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 16;
  config.ffn = 32;
  config.vocab = 50;
  config.context_length = 4096;
  config.rope_theta = 10000;
  config.norm_eps = 1e-5;
  config.sliding_layers = {true, false};
  config.sliding_window = 40;
  return config;
}

}  // namespace pajamas::runtime
