// Qwen2 and Qwen2.5: dense, grouped-query attention with biases on q, k and v, SwiGLU.
// Source: transformers' modeling_qwen2 and llama.cpp's converter.
#include "model/qwen2.h"

#include <array>

#include "base/error.h"
#include "model/hparams.h"

namespace pajamas::model {
namespace {

using Config = ModelConfig;

Shape vocab_by_hidden(const Config& c) { return {c.vocab, c.hidden}; }
Shape hidden_vector(const Config& c) { return {c.hidden}; }

// clang-format off
constexpr std::array<RoleSpec, 15> kRoles{{
    {Role::kTokenEmbedding, "model.embed_tokens.weight", "token_embd.weight",
     "model.embed_tokens.weight", vocab_by_hidden, false, true},
    {Role::kAttnNorm, "model.layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight",
     "model.layers.{}.input_layernorm.weight", hidden_vector, true, false},
    {Role::kAttnQ, "model.layers.{}.self_attn.q_proj.weight", "blk.{}.attn_q.weight",
     "model.layers.{}.self_attn.q_proj.weight",
     [](const Config& c) -> Shape { return {c.q_rows(), c.hidden}; }, true, true},
    {Role::kAttnQBias, "model.layers.{}.self_attn.q_proj.bias", "blk.{}.attn_q.bias",
     "model.layers.{}.self_attn.q_proj.bias",
     [](const Config& c) -> Shape { return {c.q_rows()}; }, true, false},
    {Role::kAttnK, "model.layers.{}.self_attn.k_proj.weight", "blk.{}.attn_k.weight",
     "model.layers.{}.self_attn.k_proj.weight",
     [](const Config& c) -> Shape { return {c.kv_rows(), c.hidden}; }, true, true},
    {Role::kAttnKBias, "model.layers.{}.self_attn.k_proj.bias", "blk.{}.attn_k.bias",
     "model.layers.{}.self_attn.k_proj.bias",
     [](const Config& c) -> Shape { return {c.kv_rows()}; }, true, false},
    {Role::kAttnV, "model.layers.{}.self_attn.v_proj.weight", "blk.{}.attn_v.weight",
     "model.layers.{}.self_attn.v_proj.weight",
     [](const Config& c) -> Shape { return {c.kv_rows(), c.hidden}; }, true, true},
    {Role::kAttnVBias, "model.layers.{}.self_attn.v_proj.bias", "blk.{}.attn_v.bias",
     "model.layers.{}.self_attn.v_proj.bias",
     [](const Config& c) -> Shape { return {c.kv_rows()}; }, true, false},
    {Role::kAttnOutput, "model.layers.{}.self_attn.o_proj.weight", "blk.{}.attn_output.weight",
     "model.layers.{}.self_attn.o_proj.weight",
     [](const Config& c) -> Shape { return {c.hidden, c.q_rows()}; }, true, true},
    {Role::kFfnNorm, "model.layers.{}.post_attention_layernorm.weight", "blk.{}.ffn_norm.weight",
     "model.layers.{}.post_attention_layernorm.weight", hidden_vector, true, false},
    {Role::kFfnGate, "model.layers.{}.mlp.gate_proj.weight", "blk.{}.ffn_gate.weight",
     "model.layers.{}.mlp.gate_proj.weight",
     [](const Config& c) -> Shape { return {c.ffn, c.hidden}; }, true, true},
    {Role::kFfnUp, "model.layers.{}.mlp.up_proj.weight", "blk.{}.ffn_up.weight",
     "model.layers.{}.mlp.up_proj.weight",
     [](const Config& c) -> Shape { return {c.ffn, c.hidden}; }, true, true},
    {Role::kFfnDown, "model.layers.{}.mlp.down_proj.weight", "blk.{}.ffn_down.weight",
     "model.layers.{}.mlp.down_proj.weight",
     [](const Config& c) -> Shape { return {c.hidden, c.ffn}; }, true, true},
    {Role::kOutputNorm, "model.norm.weight", "output_norm.weight", "model.norm.weight",
     hidden_vector, false, false},
    {Role::kOutput, "lm_head.weight", "output.weight", "lm_head.weight", vocab_by_hidden, false,
     true},
}};
// clang-format on

class Qwen2 final : public Architecture {
 public:
  std::string_view name() const noexcept override { return "Qwen2"; }
  std::string_view hf_type() const noexcept override { return "qwen2"; }
  std::string_view gguf_name() const noexcept override { return "qwen2"; }
  std::span<const RoleSpec> roles() const noexcept override { return kRoles; }

  ModelConfig read_config(const nlohmann::json& json) const override {
    const JsonParams params(json);
    ModelConfig config;
    config.architecture = this;
    config.layers = params.count("num_hidden_layers", kMaxLayers);
    config.hidden = params.count("hidden_size", kMaxWidth);
    config.heads = params.count("num_attention_heads", kMaxHeads);
    config.kv_heads = params.count_or("num_key_value_heads", kMaxHeads, config.heads);
    if (!params.has("head_dim") && config.hidden % config.heads != 0) {
      throw Error(ErrorCode::kCorruptFile, "is not divisible by num_attention_heads",
                  "take config from the published model")
          .at("hidden_size");
    }
    config.head_dim = params.count_or("head_dim", kMaxWidth, config.hidden / config.heads);
    config.ffn = params.count("intermediate_size", kMaxWidth);
    config.vocab = params.count("vocab_size", kMaxWidth);
    config.context_length = params.count("max_position_embeddings", kMaxContext);
    config.rope_theta = read_rope_theta(json);
    config.norm_eps = params.number("rms_norm_eps");
    config.tied_output = params.flag_or("tie_word_embeddings", false);
    refuse_rope_scaling(json);
    refuse_other_variants(params);
    check_config(config, {"num_key_value_heads", "head_dim", "rope_theta", "rms_norm_eps"});
    return config;
  }

  ModelConfig read_gguf(const io::GgufMetadata& metadata) const override {
    const GgufParams params(metadata, gguf_name());
    ModelConfig config;
    config.architecture = this;
    config.layers = params.count("block_count", kMaxLayers);
    config.hidden = params.count("embedding_length", kMaxWidth);
    config.heads = params.count("attention.head_count", kMaxHeads);
    config.kv_heads = params.count_or("attention.head_count_kv", kMaxHeads, config.heads);
    if (metadata.find(params.key("attention.key_length")) == nullptr &&
        config.hidden % config.heads != 0) {
      throw Error(ErrorCode::kCorruptFile, "is not divisible by the number of heads")
          .at(params.key("embedding_length"));
    }
    config.head_dim =
        params.count_or("attention.key_length", kMaxWidth, config.hidden / config.heads);
    if (params.count_or("attention.value_length", kMaxWidth, config.head_dim) != config.head_dim) {
      throw Error(ErrorCode::kUnsupported, "differs from the length of keys")
          .at(params.key("attention.value_length"));
    }
    config.ffn = params.count("feed_forward_length", kMaxWidth);
    config.context_length = params.count("context_length", kMaxContext);
    config.rope_theta = params.number_or("rope.freq_base", 10000.0);
    config.norm_eps = params.number("attention.layer_norm_rms_epsilon");
    const std::string scaling = params.text_or("rope.scaling.type", "none");
    if (scaling != "none") {
      throw Error(ErrorCode::kUnsupported,
                  "rotary scaling \"" + printable(scaling, 40) + "\" is not supported yet")
          .at(params.key("rope.scaling.type"));
    }
    check_config(config,
                 {params.key("attention.head_count_kv"), params.key("attention.key_length"),
                  params.key("rope.freq_base"), params.key("attention.layer_norm_rms_epsilon")});
    return config;
  }

  void write_gguf(const ModelConfig& config, const nlohmann::json& hf_config,
                  io::GgufMetadata& metadata) const override {
    const auto add_count = [&](const char* suffix, std::uint64_t value) {
      metadata.add(std::string("qwen2.") + suffix, static_cast<std::uint32_t>(value));
    };
    add_count("block_count", config.layers);
    add_count("context_length", config.context_length);
    add_count("embedding_length", config.hidden);
    add_count("feed_forward_length", config.ffn);
    add_count("attention.head_count", config.heads);
    add_count("attention.head_count_kv", config.kv_heads);
    metadata.add("qwen2.rope.freq_base", static_cast<float>(config.rope_theta));
    metadata.add("qwen2.attention.layer_norm_rms_epsilon", static_cast<float>(config.norm_eps));
    if (JsonParams(hf_config).has("head_dim")) {
      add_count("attention.key_length", config.head_dim);
      add_count("attention.value_length", config.head_dim);
    }
  }

 private:
  // Features that the published models do not use and that would change what is computed.
  static void refuse_other_variants(const JsonParams& params) {
    if (params.flag_or("use_sliding_window", false)) {
      throw Error(ErrorCode::kUnsupported,
                  "sliding-window attention is not supported for Qwen2 yet")
          .at("use_sliding_window");
    }
    if (const std::string activation = params.text_or("hidden_act", "silu"); activation != "silu") {
      throw Error(ErrorCode::kUnsupported,
                  "activation \"" + printable(activation, 40) + "\" is not supported")
          .at("hidden_act");
    }
  }
};

}  // namespace

const Architecture& qwen2_architecture() noexcept {
  static const Qwen2 architecture;
  return architecture;
}

}  // namespace pajamas::model
