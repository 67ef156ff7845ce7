// gpt-oss: experts in MXFP4 with gate and up interleaved, attention sinks, sliding windows in every
// other layer, YaRN. Source: transformers' modeling_gpt_oss and llama.cpp's converter.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/decoder.h"
#include "model/hparams.h"
#include "model/roles.h"

namespace pajamas::model::registry {
namespace {

using namespace roles;
using Kind = HfForm::Kind;

// The published form first, then that of BF16 fine-tunes.
constexpr HfForm kGptOssGateForms[] = {
    {Kind::kAlternate, "model.layers.{}.mlp.experts.gate_up_proj", 0, true},
    {Kind::kTransposedAlternate, "model.layers.{}.mlp.experts.gate_up_proj", 0},
};
constexpr HfForm kGptOssUpForms[] = {
    {Kind::kAlternate, "model.layers.{}.mlp.experts.gate_up_proj", 1, true},
    {Kind::kTransposedAlternate, "model.layers.{}.mlp.experts.gate_up_proj", 1},
};
constexpr HfForm kGptOssDownForms[] = {
    {Kind::kWhole, "model.layers.{}.mlp.experts.down_proj", 0, true},
    {Kind::kTransposed, "model.layers.{}.mlp.experts.down_proj"},
};
constexpr HfForm kGateBiasForms[] = {
    {Kind::kAlternateColumns, "model.layers.{}.mlp.experts.gate_up_proj_bias", 0},
};
constexpr HfForm kUpBiasForms[] = {
    {Kind::kAlternateColumns, "model.layers.{}.mlp.experts.gate_up_proj_bias", 1},
};

constexpr RoleSpec kPostAttnNorm =
    same(Role::kFfnNorm, "model.layers.{}.post_attention_layernorm.weight",
         "blk.{}.post_attention_norm.weight", hidden, false);

// clang-format off
constexpr RoleSpec kGptOssRoles[] = {
    kTokenEmbedding, kAttnNorm,
    kAttnQ, kAttnQBias, kAttnK, kAttnKBias, kAttnV, kAttnVBias,
    same(Role::kAttnSinks, "model.layers.{}.self_attn.sinks", "blk.{}.attn_sinks.weight",
         [](const Config& c) -> Shape { return {c.heads}; }, false),
    kAttnOutput, kAttnOutputBias, kPostAttnNorm,
    same(Role::kRouter, "model.layers.{}.mlp.router.weight", "blk.{}.ffn_gate_inp.weight",
         experts_by_hidden, true),
    same(Role::kRouterBias, "model.layers.{}.mlp.router.bias", "blk.{}.ffn_gate_inp.bias",
         experts, false),
    {Role::kExpertGate, "model.layers.{}.mlp.experts.gate_up_proj", "blk.{}.ffn_gate_exps.weight",
     "model.layers.{}.mlp.experts.gate_proj.weight", stack_in, true, true, nullptr, kGptOssGateForms},
    {Role::kExpertGateBias, "model.layers.{}.mlp.experts.gate_up_proj_bias",
     "blk.{}.ffn_gate_exps.bias", "model.layers.{}.mlp.experts.gate_proj.bias", experts_by_ffn,
     true, false, nullptr, kGateBiasForms},
    {Role::kExpertUp, "model.layers.{}.mlp.experts.gate_up_proj", "blk.{}.ffn_up_exps.weight",
     "model.layers.{}.mlp.experts.up_proj.weight", stack_in, true, true, nullptr, kGptOssUpForms},
    {Role::kExpertUpBias, "model.layers.{}.mlp.experts.gate_up_proj_bias",
     "blk.{}.ffn_up_exps.bias", "model.layers.{}.mlp.experts.up_proj.bias", experts_by_ffn, true,
     false, nullptr, kUpBiasForms},
    {Role::kExpertDown, "model.layers.{}.mlp.experts.down_proj", "blk.{}.ffn_down_exps.weight",
     "model.layers.{}.mlp.experts.down_proj.weight", stack_out, true, true, nullptr, kGptOssDownForms},
    {Role::kExpertDownBias, "model.layers.{}.mlp.experts.down_proj_bias",
     "blk.{}.ffn_down_exps.bias", "model.layers.{}.mlp.experts.down_proj.bias", experts_by_hidden,
     true, false},
    kOutputNorm, kOutput,
};
// clang-format on

class GptOss final : public Architecture {
 public:
  std::string_view name() const noexcept override { return "gpt-oss"; }
  std::string_view hf_type() const noexcept override { return "gpt_oss"; }
  std::string_view hf_class() const noexcept override { return "GptOssForCausalLM"; }
  std::string_view gguf_name() const noexcept override { return "gpt-oss"; }
  std::span<const RoleSpec> roles() const noexcept override { return kGptOssRoles; }
  std::uint64_t usual_head_dim() const noexcept override { return 64; }

  ModelConfig read_config(const nlohmann::json& json) const override {
    require_flag(json, "attention_bias", true);
    require_text(json, "hidden_act", "silu");
    ModelConfig config = read_decoder(*this, json);
    const JsonParams params(json);
    const char* count = params.has("num_local_experts") ? "num_local_experts" : "num_experts";
    const char* used =
        params.has("num_experts_per_tok") ? "num_experts_per_tok" : "experts_per_token";
    read_experts(json, {count, used, "intermediate_size"}, config);
    if (params.count_or("experts_per_token", kMaxExperts, config.experts_used) !=
        config.experts_used) {
      throw Error(ErrorCode::kCorruptFile, "contradicts num_experts_per_tok",
                  "take config from the published model")
          .at("experts_per_token");
    }
    if (params.has("swiglu_limit")) config.swiglu_limit = params.number("swiglu_limit");
    if (!(config.swiglu_limit > 0)) {
      throw Error(ErrorCode::kCorruptFile, "is not positive").at("swiglu_limit");
    }
    if (params.has("swiglu_alpha") && params.number("swiglu_alpha") != kSwigluAlpha) {
      throw Error(ErrorCode::kUnsupported, fmt::format("only {} is supported", kSwigluAlpha))
          .at("swiglu_alpha");
    }
    config.sliding_layers = read_layer_types(params, config.layers);
    // A width that no layer uses may be null.
    if (std::ranges::count(config.sliding_layers, true) > 0) {
      config.sliding_window = params.count("sliding_window", kMaxContext);
    }
    set_constants(config);
    return config;
  }

  ModelConfig read_gguf(const io::GgufMetadata& metadata) const override {
    ModelConfig config = read_decoder(*this, metadata);
    read_experts(metadata, config);
    const GgufParams params(metadata, gguf_name());
    // No published gpt-oss rounds, and llama.cpp's converter cannot say that it does not.
    if (!metadata.find_bool(params.key("rope.scaling.yarn_truncate"))) {
      config.rope_scaling.truncate = false;
    }
    config.sliding_window = params.count("attention.sliding_window", kMaxContext);
    config.sliding_layers = alternating(config.layers);
    set_constants(config);
    return config;
  }

  void write_gguf(const ModelConfig& config, io::GgufMetadata& metadata) const override {
    write_decoder(config, metadata);
    // What is not said is taken for what the published models have.
    if (config.rope_scaling.truncate) metadata.add("gpt-oss.rope.scaling.yarn_truncate", true);
    metadata.add("gpt-oss.attention.sliding_window",
                 static_cast<std::uint32_t>(config.sliding_window));
  }

  std::optional<Obstacle> obstacle_in_gguf(const ModelConfig& config) const override {
    if (config.sliding_layers != alternating(config.layers)) {
      return Obstacle{"layer_types",
                      "GGUF's gpt-oss has sliding windows in every other layer, from the first"};
    }
    if (auto limit = other_limit(config, "GGUF's gpt-oss (llama.cpp)")) return limit;
    if (auto tied = tied_output(config, "GGUF's gpt-oss (llama.cpp)")) return tied;
    return Architecture::obstacle_in_gguf(config);
  }

  std::optional<Obstacle> obstacle_in_mlx(const ModelConfig& config) const override {
    const auto sliding = std::ranges::count(config.sliding_layers, true);
    if (sliding == 0 || static_cast<std::uint64_t>(sliding) == config.layers) {
      return Obstacle{"layer_types",
                      "MLX's gpt_oss (mlx-lm) needs layers with and layers without a window"};
    }
    if (auto limit = other_limit(config, "MLX's gpt_oss (mlx-lm)")) return limit;
    return tied_output(config, "MLX's gpt_oss (mlx-lm)");
  }

  std::optional<Obstacle> obstacle_in_fp8(const ModelConfig&) const override {
    return Obstacle{"model_type",
                    "gpt-oss has no FP8 form that other programs load: its experts are published "
                    "as MXFP4, which GGUF and MLX keep bit for bit"};
  }

  void write_config(const ModelConfig& config, nlohmann::json& json) const override {
    write_decoder(config, json);
    json["attention_bias"] = true;
    json["num_local_experts"] = config.experts;
    json["num_experts_per_tok"] = config.experts_used;
    json["experts_per_token"] = config.experts_used;
    json["sliding_window"] = config.sliding_window;
    json["swiglu_limit"] = config.swiglu_limit;
    nlohmann::json types = nlohmann::json::array();
    for (const bool sliding : config.sliding_layers) {
      types.push_back(sliding ? "sliding_attention" : "full_attention");
    }
    json["layer_types"] = types;
  }

 private:
  static constexpr double kSwigluAlpha = 1.702;

  static std::optional<Obstacle> other_limit(const ModelConfig& config, std::string_view who) {
    if (config.swiglu_limit == 7) return {};
    return Obstacle{"swiglu_limit", fmt::format("{} always has a limit of 7", who)};
  }

  static std::optional<Obstacle> tied_output(const ModelConfig& config, std::string_view who) {
    if (!config.tied_output) return {};
    return Obstacle{"tie_word_embeddings", fmt::format("{} has an output matrix of its own", who)};
  }

  static void set_constants(ModelConfig& config) {
    config.router = RouterKind::kTopThenSoftmax;
    config.activation = Activation::kClampedSwiGlu;
  }

  static std::vector<bool> alternating(std::uint64_t layers) {
    std::vector<bool> sliding(layers);
    for (std::uint64_t i = 0; i < layers; i += 2) sliding[i] = true;
    return sliding;
  }

  static std::vector<bool> read_layer_types(const JsonParams& params, std::uint64_t layers) {
    const nlohmann::json* types = params.find("layer_types");
    if (types == nullptr) return alternating(layers);
    if (!types->is_array() || types->size() != layers) {
      throw Error(ErrorCode::kCorruptFile, "must have one entry a layer").at("layer_types");
    }
    std::vector<bool> sliding;
    for (const nlohmann::json& type : *types) {
      if (type != "sliding_attention" && type != "full_attention") {
        throw Error(ErrorCode::kUnsupported,
                    fmt::format("{} is not supported, only sliding_attention and full_attention",
                                shown(type)))
            .at("layer_types");
      }
      sliding.push_back(type == "sliding_attention");
    }
    return sliding;
  }
};

}  // namespace

const Architecture& gpt_oss() noexcept {
  static const GptOss architecture;
  return architecture;
}

}  // namespace pajamas::model::registry
