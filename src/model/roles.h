// The tensors that decoders have in common, for the tables of model/architectures/.
#pragma once

#include "model/architecture.h"

namespace pajamas::model::roles {

using Config = ModelConfig;

// Shapes.
inline Shape hidden(const Config& c) { return {c.hidden}; }
inline Shape head(const Config& c) { return {c.head_dim}; }
inline Shape q_rows(const Config& c) { return {c.q_rows()}; }
inline Shape kv_rows(const Config& c) { return {c.kv_rows()}; }
inline Shape vocab_by_hidden(const Config& c) { return {c.vocab, c.hidden}; }
inline Shape q_by_hidden(const Config& c) { return {c.q_rows(), c.hidden}; }
inline Shape kv_by_hidden(const Config& c) { return {c.kv_rows(), c.hidden}; }
inline Shape hidden_by_q(const Config& c) { return {c.hidden, c.q_rows()}; }
inline Shape ffn_by_hidden(const Config& c) { return {c.ffn, c.hidden}; }
inline Shape hidden_by_ffn(const Config& c) { return {c.hidden, c.ffn}; }
inline Shape experts(const Config& c) { return {c.experts}; }
inline Shape experts_by_hidden(const Config& c) { return {c.experts, c.hidden}; }
inline Shape experts_by_ffn(const Config& c) { return {c.experts, c.expert_ffn}; }
inline Shape stack_in(const Config& c) { return {c.experts, c.expert_ffn, c.hidden}; }
inline Shape stack_out(const Config& c) { return {c.experts, c.hidden, c.expert_ffn}; }

inline bool dense(const Config& c, std::uint64_t layer) { return !c.is_sparse(layer); }
inline bool sparse(const Config& c, std::uint64_t layer) { return c.is_sparse(layer); }

// A tensor that is called the same in the checkpoint and in MLX.
constexpr RoleSpec same(Role role, std::string_view hf, std::string_view gguf,
                        Shape (*shape)(const Config&), bool is_matrix,
                        bool (*present)(const Config&, std::uint64_t) = nullptr) {
  return {role, hf, gguf, hf, shape, gguf.starts_with("blk."), is_matrix, present, {}};
}

inline constexpr RoleSpec kTokenEmbedding = same(Role::kTokenEmbedding, "model.embed_tokens.weight",
                                                 "token_embd.weight", vocab_by_hidden, true);
inline constexpr RoleSpec kOutputNorm =
    same(Role::kOutputNorm, "model.norm.weight", "output_norm.weight", hidden, false);
inline constexpr RoleSpec kOutput =
    same(Role::kOutput, "lm_head.weight", "output.weight", vocab_by_hidden, true);

inline constexpr RoleSpec kAttnNorm =
    same(Role::kAttnNorm, "model.layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight",
         hidden, false);
inline constexpr RoleSpec kAttnQ = same(Role::kAttnQ, "model.layers.{}.self_attn.q_proj.weight",
                                        "blk.{}.attn_q.weight", q_by_hidden, true);
inline constexpr RoleSpec kAttnQBias = same(
    Role::kAttnQBias, "model.layers.{}.self_attn.q_proj.bias", "blk.{}.attn_q.bias", q_rows, false);
inline constexpr RoleSpec kAttnK = same(Role::kAttnK, "model.layers.{}.self_attn.k_proj.weight",
                                        "blk.{}.attn_k.weight", kv_by_hidden, true);
inline constexpr RoleSpec kAttnKBias =
    same(Role::kAttnKBias, "model.layers.{}.self_attn.k_proj.bias", "blk.{}.attn_k.bias", kv_rows,
         false);
inline constexpr RoleSpec kAttnV = same(Role::kAttnV, "model.layers.{}.self_attn.v_proj.weight",
                                        "blk.{}.attn_v.weight", kv_by_hidden, true);
inline constexpr RoleSpec kAttnVBias =
    same(Role::kAttnVBias, "model.layers.{}.self_attn.v_proj.bias", "blk.{}.attn_v.bias", kv_rows,
         false);
inline constexpr RoleSpec kAttnOutput =
    same(Role::kAttnOutput, "model.layers.{}.self_attn.o_proj.weight", "blk.{}.attn_output.weight",
         hidden_by_q, true);
inline constexpr RoleSpec kAttnOutputBias =
    same(Role::kAttnOutputBias, "model.layers.{}.self_attn.o_proj.bias", "blk.{}.attn_output.bias",
         hidden, false);
inline constexpr RoleSpec kAttnQNorm =
    same(Role::kAttnQNorm, "model.layers.{}.self_attn.q_norm.weight", "blk.{}.attn_q_norm.weight",
         head, false);
inline constexpr RoleSpec kAttnKNorm =
    same(Role::kAttnKNorm, "model.layers.{}.self_attn.k_norm.weight", "blk.{}.attn_k_norm.weight",
         head, false);

inline constexpr RoleSpec kFfnNorm =
    same(Role::kFfnNorm, "model.layers.{}.post_attention_layernorm.weight",
         "blk.{}.ffn_norm.weight", hidden, false);
inline constexpr RoleSpec kFfnGate = same(Role::kFfnGate, "model.layers.{}.mlp.gate_proj.weight",
                                          "blk.{}.ffn_gate.weight", ffn_by_hidden, true, dense);
inline constexpr RoleSpec kFfnUp = same(Role::kFfnUp, "model.layers.{}.mlp.up_proj.weight",
                                        "blk.{}.ffn_up.weight", ffn_by_hidden, true, dense);
inline constexpr RoleSpec kFfnDown = same(Role::kFfnDown, "model.layers.{}.mlp.down_proj.weight",
                                          "blk.{}.ffn_down.weight", hidden_by_ffn, true, dense);

}  // namespace pajamas::model::roles
