// Llama 3: dense, without biases; rotary frequencies scaled in bands (llama3). GGUF stores the rows
// of q and k interleaved, and the scaling as a tensor of factors.
// Source: transformers' modeling_llama and llama.cpp's converter.
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/decoder.h"
#include "model/hparams.h"
#include "model/roles.h"

namespace pajamas::model::registry {
namespace {

using namespace roles;

constexpr RoleSpec kLlamaRoles[] = {kTokenEmbedding, kAttnNorm,   kAttnQ,      kAttnK,
                                    kAttnV,          kAttnOutput, kFfnNorm,    kFfnGate,
                                    kFfnUp,          kFfnDown,    kOutputNorm, kOutput};

class Llama final : public Architecture {
 public:
  std::string_view name() const noexcept override { return "Llama"; }
  std::string_view hf_type() const noexcept override { return "llama"; }
  std::string_view hf_class() const noexcept override { return "LlamaForCausalLM"; }
  std::string_view gguf_name() const noexcept override { return "llama"; }
  std::span<const RoleSpec> roles() const noexcept override { return kLlamaRoles; }
  bool gguf_interleaves_heads() const noexcept override { return true; }

  ModelConfig read_config(const nlohmann::json& json) const override {
    require_flag(json, "attention_bias", false);
    require_flag(json, "mlp_bias", false);
    require_text(json, "hidden_act", "silu");
    ModelConfig config = read_decoder(*this, json);
    // transformers and llama.cpp know no windows here, whatever config.json says of their width;
    // mlx-lm heeds layer_types.
    if (JsonParams(json).has("layer_types")) require_full_attention(json, 0, config.layers);
    return config;
  }

  ModelConfig read_gguf(const io::GgufMetadata& metadata) const override {
    const GgufParams params(metadata, gguf_name());
    if (const auto experts = metadata.find_unsigned(params.key("expert_count"));
        experts && *experts > 0) {
      throw Error(ErrorCode::kUnsupported, "Llama with experts (Mixtral) is not supported")
          .at(params.key("expert_count"));
    }
    return read_decoder(*this, metadata);
  }

  void write_gguf(const ModelConfig& config, io::GgufMetadata& metadata) const override {
    write_decoder(config, metadata);
    metadata.add("llama.vocab_size", static_cast<std::uint32_t>(config.vocab));
    metadata.add("llama.rope.dimension_count", static_cast<std::uint32_t>(config.head_dim));
  }

  void write_config(const ModelConfig& config, nlohmann::json& json) const override {
    write_decoder(config, json);
  }
};

}  // namespace

const Architecture& llama() noexcept {
  static const Llama architecture;
  return architecture;
}

}  // namespace pajamas::model::registry
