// Configurations of mixtures of experts and of scaled rotary embeddings.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "io/temp.h"
#include "model/architecture.h"
#include "model/shards.h"
#include "paths.h"

namespace pajamas::model {
namespace {

using nlohmann::json;
using test::expect_error;
using Kind = RopeScaling::Kind;

const std::string kSource = source_dir();

json read_json(const std::string& path) { return json::parse(read_text_file(kSource + path)); }
// As a file would be read: numbers written here are signed, numbers read are not.
ModelConfig parsed_moe(const json& config) { return parse_config_json(config.dump()); }

json tiny_qwen3_moe() { return read_json("/models/tiny-qwen3-moe/config.json"); }
json tiny_gpt_oss() { return read_json("/models/tiny-gpt-oss/config.json"); }

TEST(MoeConfig, CountsTheParametersOfQwen3) {
  const ModelConfig config = config_of(read_json("/models/configs/Qwen3-30B-A3B.json"));
  EXPECT_EQ(parameter_count(config), 30'532'122'624u);
  EXPECT_EQ(tensors_of(config).size(), 579u);
  const std::uint64_t attention = 2 * 2048u * 4096 + 2 * 2048u * 512 + 2 * 128 + 2 * 2048;
  const std::uint64_t experts = 128u * 2048 + 8u * 3 * 2048 * 768;
  EXPECT_EQ(active_parameter_count(config),
            48 * (attention + experts) + 2048 + 151936u * 2048 + 2048);
}

TEST(MoeConfig, CountsTheParametersOfGptOss) {
  const ModelConfig config = config_of(read_json("/models/configs/gpt-oss-20b.json"));
  EXPECT_EQ(parameter_count(config), 20'914'757'184u);
  EXPECT_EQ(tensors_of(config).size(), 459u);
  const std::uint64_t attention =
      4096u * 2880 + 4096 + 2 * (512u * 2880 + 512) + 2880u * 4096 + 2880 + 64 + 2 * 2880;
  const std::uint64_t experts = 32u * 2880 + 32 + 4u * 3 * (2880 * 2880 + 2880);
  EXPECT_EQ(active_parameter_count(config),
            24 * (attention + experts) + 2880 + 201088u * 2880 + 2880);
}

TEST(MoeConfig, ReadsQwen3) {
  const ModelConfig config = config_of(tiny_qwen3_moe());
  EXPECT_EQ(config.experts, 8u);
  EXPECT_EQ(config.experts_used, 2u);
  EXPECT_EQ(config.expert_ffn, 256u);
  EXPECT_EQ(config.router, RouterKind::kSoftmaxThenTop);
  EXPECT_TRUE(config.router_renormalises);
  EXPECT_EQ(config.activation, Activation::kSwiGlu);
  EXPECT_TRUE(config.is_sparse(0) && config.is_sparse(2));
  json other = tiny_qwen3_moe();
  other.erase("norm_topk_prob");  // transformers' default
  EXPECT_FALSE(parsed_moe(other).router_renormalises);
  other["num_local_experts"] = other["num_experts"];
  other.erase("num_experts");
  EXPECT_EQ(parsed_moe(other).experts, 8u);
}

TEST(MoeConfig, LayersWithoutExpertsHaveADenseFeedForward) {
  json config = tiny_qwen3_moe();
  config["mlp_only_layers"] = {1};
  const ModelConfig listed = parsed_moe(config);
  EXPECT_TRUE(listed.is_sparse(0) && !listed.is_sparse(1) && listed.is_sparse(2));
  std::size_t dense = 0;
  for (const TensorSpec& tensor : tensors_of(listed)) {
    EXPECT_FALSE(tensor.key.role == Role::kRouter && tensor.key.layer == 1);
    if (tensor.key.role != Role::kFfnDown) continue;
    EXPECT_EQ(tensor.key.layer, 1);
    EXPECT_EQ(tensor.shape, Shape({256, 768}));
    ++dense;
  }
  EXPECT_EQ(dense, 1u);
  config["mlp_only_layers"] = json::array();
  config["decoder_sparse_step"] = 2;  // layers 1, 3, ...
  const ModelConfig stepped = parsed_moe(config);
  EXPECT_TRUE(!stepped.is_sparse(0) && stepped.is_sparse(1) && !stepped.is_sparse(2));
}

TEST(MoeConfig, ReadsGptOss) {
  const ModelConfig config = config_of(tiny_gpt_oss());
  EXPECT_EQ(config.router, RouterKind::kTopThenSoftmax);
  EXPECT_EQ(config.activation, Activation::kClampedSwiGlu);
  EXPECT_EQ(config.swiglu_limit, 7);
  EXPECT_EQ(config.expert_ffn, 288u);
  EXPECT_EQ(config.window(0), 64u);
  EXPECT_EQ(config.window(1), 0u);
  EXPECT_FALSE(config.rope_scaling.truncate);
  json other = tiny_gpt_oss();
  other["layer_types"] = {"full_attention", "full_attention", "sliding_attention",
                          "full_attention"};
  const ModelConfig changed = parsed_moe(other);
  EXPECT_EQ(changed.window(0), 0u);
  EXPECT_EQ(changed.window(2), 64u);
  other["layer_types"] = std::vector<std::string>(4, "full_attention");
  other["sliding_window"] = nullptr;  // a width that no layer uses
  EXPECT_EQ(parsed_moe(other).window(2), 0u);
  other["sliding_window"] = 64;
  other.erase("layer_types");  // every other one, from the first
  EXPECT_EQ(parsed_moe(other).sliding_layers, config.sliding_layers);
}

struct BrokenMoe {
  json (*base)();
  const char* key;
  json value;
  ErrorCode code;
  const char* named = nullptr;  // the key where null
};

TEST(MoeConfig, RefusesAndNamesTheKey) {
  const auto corrupt = ErrorCode::kCorruptFile, unsupported = ErrorCode::kUnsupported;
  const BrokenMoe cases[] = {
      {tiny_qwen3_moe, "num_experts_per_tok", 9, corrupt},
      {tiny_qwen3_moe, "num_experts_per_tok", 0, corrupt},
      {tiny_qwen3_moe, "num_experts_per_tok", nullptr, corrupt},
      {tiny_qwen3_moe, "num_experts", 0, corrupt},
      {tiny_qwen3_moe, "num_experts", -8, corrupt},
      {tiny_qwen3_moe, "num_experts", 1 << 20, corrupt},
      {tiny_qwen3_moe, "moe_intermediate_size", nullptr, corrupt},
      {tiny_qwen3_moe, "moe_intermediate_size", "wide", corrupt},
      {tiny_qwen3_moe, "norm_topk_prob", 1, corrupt},
      {tiny_qwen3_moe, "mlp_only_layers", {0, 3}, corrupt},
      {tiny_qwen3_moe, "mlp_only_layers", {-1}, corrupt},
      {tiny_qwen3_moe, "mlp_only_layers", {0.5}, corrupt},
      {tiny_qwen3_moe, "mlp_only_layers", 1, corrupt},
      {tiny_qwen3_moe, "decoder_sparse_step", 0, corrupt},
      {tiny_qwen3_moe, "use_sliding_window", "yes", corrupt},
      {tiny_gpt_oss, "swiglu_alpha", 2, unsupported},
      {tiny_qwen3_moe, "attention_bias", true, unsupported},
      {tiny_qwen3_moe, "hidden_act", "gelu", unsupported},
      {tiny_gpt_oss, "num_experts_per_tok", 9, corrupt},
      {tiny_gpt_oss, "num_local_experts", "eight", corrupt},
      {tiny_gpt_oss, "layer_types", {"sliding_attention"}, corrupt},
      {tiny_gpt_oss, "layer_types", "sliding_attention", corrupt},
      {tiny_gpt_oss,
       "layer_types",
       {"sliding_attention", "full_attention", "linear_attention", "full_attention"},
       unsupported},
      {tiny_gpt_oss, "layer_types", {1, 2, 3, 4}, unsupported},
      {tiny_gpt_oss, "sliding_window", 0, corrupt},
      {tiny_gpt_oss, "sliding_window", nullptr, corrupt},
      {tiny_gpt_oss, "swiglu_limit", 0, corrupt},
      {tiny_gpt_oss, "swiglu_limit", "none", corrupt},
      {tiny_gpt_oss, "attention_bias", false, unsupported},
      {tiny_gpt_oss,
       "rope_scaling",
       {{"rope_type", "dynamic"}, {"factor", 2}},
       unsupported,
       "dynamic"},
      {tiny_gpt_oss,
       "rope_scaling",
       {{"type", "longrope"}, {"factor", 2}},
       unsupported,
       "longrope"},
      {tiny_gpt_oss, "rope_scaling", {{"type", 7}}, corrupt, "rope_scaling"},
      {tiny_gpt_oss, "rope_scaling", {{"type", "yarn"}, {"factor", 0}}, corrupt, "factor"},
      {tiny_gpt_oss,
       "rope_scaling",
       {{"type", "yarn"}, {"factor", 2}, {"beta_fast", -1}},
       corrupt,
       "beta_fast"},
      {tiny_gpt_oss,
       "rope_scaling",
       {{"type", "yarn"}, {"factor", 2}, {"truncate", 0}},
       corrupt,
       "truncate"},
      {tiny_gpt_oss, "rope_scaling", {{"type", "linear"}}, corrupt, "factor"},
      {tiny_gpt_oss,
       "rope_scaling",
       {{"type", "llama3"}, {"factor", 8}},
       corrupt,
       "low_freq_factor"},
      {tiny_gpt_oss,
       "rope_scaling",
       {{"type", "llama3"},
        {"factor", 8},
        {"low_freq_factor", 4},
        {"high_freq_factor", 4},
        {"original_max_position_embeddings", 100}},
       corrupt,
       "high_freq_factor"},
      {tiny_gpt_oss,
       "rope_scaling",
       {{"type", "yarn"}, {"factor", 2}, {"partial_rotary_factor", 0.5}},
       unsupported,
       "partial_rotary_factor"},
      {tiny_gpt_oss, "partial_rotary_factor", 0.25, unsupported},
  };
  for (const BrokenMoe& broken : cases) {
    json config = broken.base();
    config[broken.key] = broken.value;
    SCOPED_TRACE(std::string(broken.key) + " = " + broken.value.dump());
    expect_error(broken.code, broken.named != nullptr ? broken.named : broken.key,
                 [&] { parsed_moe(config); });
  }
}

// max_window_layers is 3 there, of 3 layers.
TEST(MoeConfig, WindowsOfNoLayerAreFullAttention) {
  json config = tiny_qwen3_moe();
  config["use_sliding_window"] = true;
  EXPECT_EQ(parsed_moe(config).window(2), 0u);  // sliding_window is null
  config["sliding_window"] = 64;
  EXPECT_EQ(parsed_moe(config).window(2), 0u);
  config["max_window_layers"] = 2;
  expect_error(ErrorCode::kUnsupported, "use_sliding_window", [&] { parsed_moe(config); });
  config.erase("max_window_layers");  // all layers, in transformers 5
  expect_error(ErrorCode::kUnsupported, "use_sliding_window", [&] { parsed_moe(config); });
}

// rope_theta and rope_scaling side by side, or rope_parameters with everything inside.
TEST(RopeConfig, BothSpellingsSayTheSame) {
  const json scalings[] = {
      {{"rope_type", "yarn"},
       {"factor", 4},
       {"original_max_position_embeddings", 128},
       {"beta_fast", 24},
       {"beta_slow", 2},
       {"truncate", false}},
      {{"rope_type", "llama3"},
       {"factor", 8},
       {"original_max_position_embeddings", 64},
       {"low_freq_factor", 1},
       {"high_freq_factor", 4}},
      {{"rope_type", "linear"}, {"factor", 2.5}},
      {{"rope_type", "default"}},
  };
  const Kind kinds[] = {Kind::kYarn, Kind::kLlama3, Kind::kLinear, Kind::kNone};
  for (std::size_t i = 0; i < std::size(scalings); ++i) {
    json older = tiny_gpt_oss();
    older["rope_theta"] = 54321.0;
    older["rope_scaling"] = scalings[i];
    older["rope_scaling"].erase("rope_type");
    older["rope_scaling"]["type"] = scalings[i]["rope_type"];
    json newer = tiny_gpt_oss();
    newer.erase("rope_theta");
    newer.erase("rope_scaling");
    newer["rope_parameters"] = scalings[i];
    newer["rope_parameters"]["rope_theta"] = 54321.0;
    const ModelConfig a = parsed_moe(older), b = parsed_moe(newer);
    EXPECT_EQ(a.rope_theta, 54321.0);
    EXPECT_EQ(b.rope_theta, 54321.0);
    EXPECT_EQ(a.rope_scaling.kind, kinds[i]);
    EXPECT_EQ(a.rope_scaling, b.rope_scaling) << scalings[i];
  }
}

TEST(RopeConfig, TakesEveryNumberOfAScaling) {
  json config = tiny_gpt_oss();
  config["rope_scaling"] = {{"rope_type", "yarn"},
                            {"factor", 4},
                            {"beta_fast", 24},
                            {"original_max_position_embeddings", 128},
                            {"beta_slow", 2}};
  const RopeScaling yarn = parsed_moe(config).rope_scaling;
  EXPECT_EQ(yarn.factor, 4);
  EXPECT_EQ(yarn.original_context, 128u);
  EXPECT_EQ(yarn.beta_fast, 24);
  EXPECT_EQ(yarn.beta_slow, 2);
  EXPECT_TRUE(yarn.truncate);  // transformers' default
  EXPECT_NEAR(yarn.attention_factor, 0.1 * std::log(4.0) + 1, 1e-12);
  config["rope_scaling"]["attention_factor"] = 1.5;
  EXPECT_EQ(parsed_moe(config).rope_scaling.attention_factor, 1.5);
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8},
                            {"low_freq_factor", 1},
                            {"high_freq_factor", 3},
                            {"original_max_position_embeddings", 77}};
  const RopeScaling llama3 = parsed_moe(config).rope_scaling;
  EXPECT_EQ(llama3.high_freq_factor, 3);
  EXPECT_EQ(llama3.original_context, 77u);
}

TEST(StoredQuantization, KnowsTheKindsThatArePublished) {
  const auto stored = [](const json& q) {
    return stored_quantization({{"quantization_config", q}});
  };
  EXPECT_EQ(stored_quantization(json::object()), StoredQuantization::kNone);
  EXPECT_EQ(stored(nullptr), StoredQuantization::kNone);
  EXPECT_EQ(stored({{"quant_method", "mxfp4"}}), StoredQuantization::kMxfp4);
  const json fp8{{"quant_method", "fp8"}, {"fmt", "e4m3"}, {"weight_block_size", {128, 128}}};
  EXPECT_EQ(stored(fp8), StoredQuantization::kFp8);
  // mlx-lm writes the same key beside its own.
  EXPECT_EQ(stored_quantization(
                {{"quantization", {{"bits", 4}}}, {"quantization_config", {{"bits", 4}}}}),
            StoredQuantization::kNone);
  const auto refused = [&](const json& q, ErrorCode code, const char* named) {
    SCOPED_TRACE(q.dump());
    expect_error(code, named, [&] { stored(q); });
  };
  for (const char* kind : {"gptq", "awq", "bitsandbytes", "compressed-tensors"}) {
    refused({{"quant_method", kind}}, ErrorCode::kUnsupported, kind);
  }
  refused(json::object(), ErrorCode::kUnsupported, "quantization_config");
  refused({{"quant_method", 4}}, ErrorCode::kCorruptFile, "quant_method");
  refused("fp8", ErrorCode::kCorruptFile, "quantization_config");
  refused({{"quant_method", "fp8"}}, ErrorCode::kUnsupported, "weight_block_size");
  refused({{"quant_method", "fp8"}, {"weight_block_size", {64, 64}}}, ErrorCode::kUnsupported,
          "weight_block_size");
  json other = fp8;
  other["fmt"] = "e5m2";
  refused(other, ErrorCode::kUnsupported, "fmt");
}

}  // namespace
}  // namespace pajamas::model
