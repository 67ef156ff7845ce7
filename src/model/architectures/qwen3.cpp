// Qwen3, dense: as Qwen2, with norms on every head of q and k in place of biases.
// Source: transformers' modeling_qwen3 and llama.cpp's converter.
#include "model/decoder.h"
#include "model/roles.h"

namespace pajamas::model::registry {
namespace {

using namespace roles;

constexpr RoleSpec kQwen3Roles[] = {kTokenEmbedding, kAttnNorm, kAttnQ,      kAttnQNorm, kAttnK,
                                    kAttnKNorm,      kAttnV,    kAttnOutput, kFfnNorm,   kFfnGate,
                                    kFfnUp,          kFfnDown,  kOutputNorm, kOutput};

// transformers' default of max_window_layers.
constexpr std::uint64_t kQwen3FirstWindowLayer = 28;

class Qwen3 final : public Architecture {
 public:
  std::string_view name() const noexcept override { return "Qwen3"; }
  std::string_view hf_type() const noexcept override { return "qwen3"; }
  std::string_view hf_class() const noexcept override { return "Qwen3ForCausalLM"; }
  std::string_view gguf_name() const noexcept override { return "qwen3"; }
  std::span<const RoleSpec> roles() const noexcept override { return kQwen3Roles; }
  std::uint64_t usual_head_dim() const noexcept override { return 128; }

  ModelConfig read_config(const nlohmann::json& json) const override {
    require_flag(json, "attention_bias", false);
    require_text(json, "hidden_act", "silu");
    ModelConfig config = read_decoder(*this, json);
    require_full_attention(json, kQwen3FirstWindowLayer, config.layers);
    return config;
  }
  ModelConfig read_gguf(const io::GgufMetadata& metadata) const override {
    return read_decoder(*this, metadata);
  }
  void write_gguf(const ModelConfig& config, io::GgufMetadata& metadata) const override {
    write_decoder(config, metadata);
  }
  void write_config(const ModelConfig& config, nlohmann::json& json) const override {
    write_decoder(config, json);
  }
};

}  // namespace

const Architecture& qwen3() noexcept {
  static const Qwen3 architecture;
  return architecture;
}

}  // namespace pajamas::model::registry
