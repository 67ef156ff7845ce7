// What a tensor is for, independent of what any format calls it.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace pajamas::model {

enum class Role : std::uint8_t {
  kTokenEmbedding,  // [vocab, hidden]
  kOutputNorm,      // [hidden]
  kOutput,          // [vocab, hidden]; absent where tied to the embedding
  kAttnNorm,        // [hidden]
  kAttnQ,           // [heads * head_dim, hidden]
  kAttnK,           // [kv_heads * head_dim, hidden]
  kAttnV,           // [kv_heads * head_dim, hidden]
  kAttnOutput,      // [hidden, heads * head_dim]
  kAttnQBias,       // [heads * head_dim]
  kAttnKBias,       // [kv_heads * head_dim]
  kAttnVBias,       // [kv_heads * head_dim]
  kFfnNorm,         // [hidden]
  kFfnGate,         // [ffn, hidden]
  kFfnUp,           // [ffn, hidden]
  kFfnDown,         // [hidden, ffn]
  kAttnQNorm,       // [head_dim]; of every head, before it is rotated
  kAttnKNorm,       // [head_dim]
  kAttnOutputBias,  // [hidden]
  kAttnSinks,       // [heads]; a logit that joins each head's softmax and is dropped from its sum
  kRouter,          // [experts, hidden]
  kRouterBias,      // [experts]
  kExpertGate,      // [experts, expert_ffn, hidden]
  kExpertUp,        // [experts, expert_ffn, hidden]
  kExpertDown,      // [experts, hidden, expert_ffn]
  kExpertGateBias,  // [experts, expert_ffn]
  kExpertUpBias,    // [experts, expert_ffn]
  kExpertDownBias,  // [experts, hidden]
  kCount,
};

std::string_view role_name(Role role) noexcept;  // "attn_q"

// One logical tensor of a model. Statistics, importance and weights are all looked up by this,
// never by a format's tensor name.
struct TensorKey {
  Role role;
  int layer = -1;   // -1: not in a layer
  int expert = -1;  // -1: not an expert, or all of a layer's experts stacked

  friend auto operator<=>(const TensorKey&, const TensorKey&) = default;
};

}  // namespace pajamas::model
