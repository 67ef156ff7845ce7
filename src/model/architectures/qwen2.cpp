// Qwen2 and Qwen2.5: dense, grouped-query attention with biases on q, k and v, SwiGLU.
// Source: transformers' modeling_qwen2 and llama.cpp's converter.

#include "model/decoder.h"
#include "model/roles.h"

namespace pajamas::model::registry {
namespace {

using namespace roles;

constexpr RoleSpec kRoles[] = {kTokenEmbedding, kAttnNorm, kAttnQ,     kAttnQBias,  kAttnK,
                               kAttnKBias,      kAttnV,    kAttnVBias, kAttnOutput, kFfnNorm,
                               kFfnGate,        kFfnUp,    kFfnDown,   kOutputNorm, kOutput};

class Qwen2 final : public Architecture {
 public:
  std::string_view name() const noexcept override { return "Qwen2"; }
  std::string_view hf_type() const noexcept override { return "qwen2"; }
  std::string_view hf_class() const noexcept override { return "Qwen2ForCausalLM"; }
  std::string_view gguf_name() const noexcept override { return "qwen2"; }
  std::span<const RoleSpec> roles() const noexcept override { return kRoles; }

  ModelConfig read_config(const nlohmann::json& json) const override {
    require_flag(json, "use_sliding_window", false);
    require_text(json, "hidden_act", "silu");
    return read_decoder(*this, json);
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

const Architecture& qwen2() noexcept {
  static const Qwen2 architecture;
  return architecture;
}

}  // namespace pajamas::model::registry
