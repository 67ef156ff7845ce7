// The hyperparameters of a model, wherever they were read from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pajamas::model {

class Architecture;

// How positions beyond those of training are squeezed into the rotary embedding.
struct RopeScaling {
  enum class Kind : std::uint8_t { kNone, kLinear, kYarn, kLlama3, kFactors };
  Kind kind = Kind::kNone;
  double factor = 1;
  std::uint64_t original_context = 0;  // positions of training; YaRN and llama3
  double beta_fast = 32;               // YaRN: turns within the original context from which a
  double beta_slow = 1;                //   pair keeps its frequency, and below which it is squeezed
  bool truncate = true;                // YaRN: both ends of that range are rounded outwards
  double attention_factor = 1;         // cosine and sine are multiplied by it
  double low_freq_factor = 1;          // llama3
  double high_freq_factor = 4;         //
  std::vector<float> factors = {};     // kFactors: what each pair's frequency is divided by

  friend bool operator==(const RopeScaling&, const RopeScaling&) = default;
};

// How a router's scores become the weights of the chosen experts.
enum class RouterKind : std::uint8_t {
  kSoftmaxThenTop,  // softmax over all; those chosen are scaled to sum 1 if `router_renormalises`
  kTopThenSoftmax,  // softmax over the chosen alone
};

enum class Activation : std::uint8_t {
  kSwiGlu,         // silu(gate) * up
  kClampedSwiGlu,  // gpt-oss: (clamp(up) + 1) * min(gate, limit) * sigmoid(1.702 * min(gate,
                   // limit))
};

// Checked when read: every count is positive and sane, heads divide as they must, and the sizes
// of all tensors follow from it without overflow.
struct ModelConfig {
  const Architecture* architecture = nullptr;  // a row of the registry; never null after reading
  std::uint64_t layers = 0;
  std::uint64_t hidden = 0;
  std::uint64_t heads = 0;
  std::uint64_t kv_heads = 0;
  std::uint64_t head_dim = 0;
  bool states_head_dim = false;  // the source says it, so that GGUF does too
  std::uint64_t ffn = 0;
  std::uint64_t vocab = 0;           // rows of the embedding; the tokenizer may define fewer
  std::uint64_t context_length = 0;  // positions the model was made for
  double rope_theta = 0;
  RopeScaling rope_scaling;
  // Pairs that turn together lie side by side, (2i, 2i + 1), as GGUF stores them for Llama;
  // otherwise half a head apart.
  bool rope_interleaved = false;
  double norm_eps = 0;
  bool tied_output = false;  // the embedding is the output matrix too

  // Mixture of experts; all 0 in a dense model.
  std::uint64_t experts = 0;
  std::uint64_t experts_used = 0;  // of each token
  std::uint64_t expert_ffn = 0;
  std::vector<bool> dense_layers;  // those without experts; empty: none of them
  RouterKind router = RouterKind::kSoftmaxThenTop;
  bool router_renormalises = true;
  Activation activation = Activation::kSwiGlu;
  double swiglu_limit = 7;  // of kClampedSwiGlu

  // Layers in which a token at position p sees only positions above p - sliding_window; empty:
  // none.
  std::vector<bool> sliding_layers;
  std::uint64_t sliding_window = 0;

  std::string kv_cache_type;  // that is suggested (model/kv_cache_type.h); empty: none

  // What a user should be told of the source: keys that contradict each other, and which is taken.
  std::vector<std::string> notes;

  std::uint64_t q_rows() const noexcept { return heads * head_dim; }
  std::uint64_t kv_rows() const noexcept { return kv_heads * head_dim; }
  bool is_sparse(std::uint64_t layer) const noexcept {
    return experts > 0 && !(layer < dense_layers.size() && dense_layers[layer]);
  }
  // Positions, its own included, that a token sees in this layer; 0: all.
  std::uint64_t window(std::uint64_t layer) const noexcept {
    return layer < sliding_layers.size() && sliding_layers[layer] ? sliding_window : 0;
  }
};

}  // namespace pajamas::model
