// The hyperparameters of a model, wherever they were read from.
#pragma once

#include <cstdint>
#include <string>

namespace pajamas::model {

class Architecture;

// Checked when read: every count is positive and sane, heads divide as they must, and the sizes
// of all tensors follow from it without overflow.
struct ModelConfig {
  const Architecture* architecture = nullptr;  // a row of the registry; never null after reading
  std::uint64_t layers = 0;
  std::uint64_t hidden = 0;
  std::uint64_t heads = 0;
  std::uint64_t kv_heads = 0;
  std::uint64_t head_dim = 0;
  std::uint64_t ffn = 0;
  std::uint64_t vocab = 0;           // rows of the embedding; the tokenizer may define fewer
  std::uint64_t context_length = 0;  // positions the model was made for
  double rope_theta = 0;
  double norm_eps = 0;
  bool tied_output = false;  // the embedding is the output matrix too

  std::uint64_t q_rows() const noexcept { return heads * head_dim; }
  std::uint64_t kv_rows() const noexcept { return kv_heads * head_dim; }
};

}  // namespace pajamas::model
