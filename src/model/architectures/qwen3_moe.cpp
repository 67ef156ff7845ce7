// Qwen3-MoE (Qwen3-30B-A3B): norms on every head of q and k, a softmax router without shared
// experts. Source: transformers' modeling_qwen3_moe and llama.cpp's converter.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/decoder.h"
#include "model/hparams.h"
#include "model/roles.h"
#include "model/rope_config.h"

namespace pajamas::model::registry {
namespace {

using namespace roles;
using Kind = HfForm::Kind;

constexpr HfForm kQwen3MoeGateForms[] = {
    {Kind::kEach, "model.layers.{}.mlp.experts.{e}.gate_proj.weight"},
    {Kind::kHalf, "model.layers.{}.mlp.experts.gate_up_proj", 0},
};
constexpr HfForm kQwen3MoeUpForms[] = {
    {Kind::kEach, "model.layers.{}.mlp.experts.{e}.up_proj.weight"},
    {Kind::kHalf, "model.layers.{}.mlp.experts.gate_up_proj", 1},
};
constexpr HfForm kQwen3MoeDownForms[] = {
    {Kind::kEach, "model.layers.{}.mlp.experts.{e}.down_proj.weight"},
    {Kind::kWhole, "model.layers.{}.mlp.experts.down_proj"},
};

constexpr RoleSpec kQwen3MoeRoles[] = {
    kTokenEmbedding,
    kAttnNorm,
    kAttnQ,
    kAttnQNorm,
    kAttnK,
    kAttnKNorm,
    kAttnV,
    kAttnOutput,
    kFfnNorm,
    kFfnGate,
    kFfnUp,
    kFfnDown,
    same(Role::kRouter, "model.layers.{}.mlp.gate.weight", "blk.{}.ffn_gate_inp.weight",
         experts_by_hidden, true, sparse),
    {Role::kExpertGate, "model.layers.{}.mlp.experts.gate_proj.weight",
     "blk.{}.ffn_gate_exps.weight", "model.layers.{}.mlp.switch_mlp.gate_proj.weight", stack_in,
     true, true, sparse, kQwen3MoeGateForms},
    {Role::kExpertUp, "model.layers.{}.mlp.experts.up_proj.weight", "blk.{}.ffn_up_exps.weight",
     "model.layers.{}.mlp.switch_mlp.up_proj.weight", stack_in, true, true, sparse,
     kQwen3MoeUpForms},
    {Role::kExpertDown, "model.layers.{}.mlp.experts.down_proj.weight",
     "blk.{}.ffn_down_exps.weight", "model.layers.{}.mlp.switch_mlp.down_proj.weight", stack_out,
     true, true, sparse, kQwen3MoeDownForms},
    kOutputNorm,
    kOutput,
};

class Qwen3Moe final : public Architecture {
 public:
  std::string_view name() const noexcept override { return "Qwen3-MoE"; }
  std::string_view hf_type() const noexcept override { return "qwen3_moe"; }
  std::string_view hf_class() const noexcept override { return "Qwen3MoeForCausalLM"; }
  std::string_view gguf_name() const noexcept override { return "qwen3moe"; }
  std::span<const RoleSpec> roles() const noexcept override { return kQwen3MoeRoles; }

  ModelConfig read_config(const nlohmann::json& json) const override {
    require_flag(json, "attention_bias", false);
    require_text(json, "hidden_act", "silu");
    ModelConfig config = read_decoder(*this, json);
    require_full_attention(json, 0, config.layers);
    // Newer files call the number of experts what gpt-oss calls it.
    const char* count = JsonParams(json).has("num_experts") ? "num_experts" : "num_local_experts";
    read_experts(json, {count, "num_experts_per_tok", "moe_intermediate_size"}, config);
    config.router_renormalises = JsonParams(json).flag_or("norm_topk_prob", false);
    read_dense_layers(json, config);
    return config;
  }

  ModelConfig read_gguf(const io::GgufMetadata& metadata) const override {
    ModelConfig config = read_decoder(*this, metadata);
    read_experts(metadata, config);
    return config;
  }

  void write_gguf(const ModelConfig& config, io::GgufMetadata& metadata) const override {
    write_decoder(config, metadata);
  }

  std::optional<Obstacle> obstacle_in_gguf(const ModelConfig& config) const override {
    if (!config.router_renormalises) {
      return Obstacle{
          "norm_topk_prob",
          "GGUF's qwen3moe always scales the chosen experts to sum 1, this model does not"};
    }
    if (!config.dense_layers.empty()) {
      return Obstacle{"mlp_only_layers", "GGUF's qwen3moe has experts in every layer"};
    }
    return Architecture::obstacle_in_gguf(config);
  }

  std::string caution_in_mlx(const ModelConfig& config) const override {
    if (config.rope_scaling.kind == RopeScaling::Kind::kNone) return {};
    return fmt::format(
        "mlx-lm computes Qwen3-MoE without its rope_scaling ({}): it will answer "
        "otherwise than this program does from the MLX output",
        describe(config.rope_scaling));
  }

  void write_config(const ModelConfig& config, nlohmann::json& json) const override {
    write_decoder(config, json);
    json["num_experts"] = config.experts;
    json["num_experts_per_tok"] = config.experts_used;
    json["moe_intermediate_size"] = config.expert_ffn;
    json["norm_topk_prob"] = config.router_renormalises;
    json["decoder_sparse_step"] = 1;
    json["mlp_only_layers"] = nlohmann::json::array();
  }

 private:
  // Layer i has experts where (i + 1) is a multiple of decoder_sparse_step, unless it is listed.
  static void read_dense_layers(const nlohmann::json& json, ModelConfig& config) {
    const JsonParams params(json);
    const std::uint64_t step = params.count_or("decoder_sparse_step", kMaxLayers, 1);
    std::vector<bool> dense(config.layers);
    for (std::uint64_t i = 0; i < config.layers; ++i) dense[i] = (i + 1) % step != 0;
    if (const nlohmann::json* listed = params.find("mlp_only_layers")) {
      if (!listed->is_array()) {
        throw Error(ErrorCode::kCorruptFile, "must be a list of layers").at("mlp_only_layers");
      }
      for (const nlohmann::json& layer : *listed) {
        if (!layer.is_number_unsigned() || layer.get<std::uint64_t>() >= config.layers) {
          throw Error(ErrorCode::kCorruptFile, "names a layer that does not exist")
              .at("mlp_only_layers");
        }
        dense[layer.get<std::uint64_t>()] = true;
      }
    }
    if (std::ranges::count(dense, true) > 0) config.dense_layers = std::move(dense);
  }
};

}  // namespace

const Architecture& qwen3_moe() noexcept {
  static const Qwen3Moe architecture;
  return architecture;
}

}  // namespace pajamas::model::registry
