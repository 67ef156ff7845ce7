// Qwen2 and Qwen2.5: dense, grouped-query attention with biases on q, k and v, SwiGLU.
// Source: transformers' modeling_qwen2 and llama.cpp's converter.
#include <fmt/format.h>

#include "model/decoder.h"
#include "model/roles.h"

namespace pajamas::model::registry {
namespace {

using namespace roles;

constexpr RoleSpec kQwen2Roles[] = {kTokenEmbedding, kAttnNorm, kAttnQ,     kAttnQBias,  kAttnK,
                                    kAttnKBias,      kAttnV,    kAttnVBias, kAttnOutput, kFfnNorm,
                                    kFfnGate,        kFfnUp,    kFfnDown,   kOutputNorm, kOutput};

// transformers' default of max_window_layers.
constexpr std::uint64_t kQwen2FirstWindowLayer = 28;

class Qwen2 final : public Architecture {
 public:
  std::string_view name() const noexcept override { return "Qwen2"; }
  std::string_view hf_type() const noexcept override { return "qwen2"; }
  std::string_view hf_class() const noexcept override { return "Qwen2ForCausalLM"; }
  std::string_view gguf_name() const noexcept override { return "qwen2"; }
  std::span<const RoleSpec> roles() const noexcept override { return kQwen2Roles; }

  ModelConfig read_config(const nlohmann::json& json) const override {
    require_text(json, "hidden_act", "silu");
    ModelConfig config = read_decoder(*this, json);
    require_full_attention(json, kQwen2FirstWindowLayer, config.layers);
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
  std::optional<Obstacle> obstacle_in_gguf(const ModelConfig& config) const override {
    if (auto own = own_head_dim(config, "GGUF's qwen2 (llama.cpp)")) return own;
    return Architecture::obstacle_in_gguf(config);
  }
  std::optional<Obstacle> obstacle_in_mlx(const ModelConfig& config) const override {
    return own_head_dim(config, "MLX's qwen2 (mlx-lm)");
  }

 private:
  // transformers knows head_dim here, as of a pruned model; others divide the width by the heads.
  static std::optional<Obstacle> own_head_dim(const ModelConfig& config, std::string_view who) {
    if (config.q_rows() == config.hidden) return {};
    return Obstacle{"head_dim", fmt::format("{} has {} heads of hidden_size / {} and not of {}",
                                            who, config.heads, config.heads, config.head_dim)};
  }
};

}  // namespace

const Architecture& qwen2() noexcept {
  static const Qwen2 architecture;
  return architecture;
}

}  // namespace pajamas::model::registry
