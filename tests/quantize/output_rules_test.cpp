// What goes into a format only if the stock readers of that format read it alike.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/json_numbers.h"
#include "quantize/plan_helpers.h"

namespace pajamas::quantize {
namespace {

using nlohmann::json;

json config_of(const char* model) {
  return json::parse(read_text_file(kSource / "models" / model / "config.json"));
}

Plan plan_of(const json& config, Format format) {
  const char* method = format == Format::kGguf ? "Q8_0" : "8bit";
  // As a file has it: whole numbers have no sign there.
  const json read = parse_json(dump_json(config, -1));
  return make_plan(plan_input_of_config(read, "model"), {recipe(format, method)}, 1);
}

void expect_refused(const json& config, Format format, std::string_view key,
                    std::string_view hint) {
  try {
    plan_of(config, format);
    ADD_FAILURE() << key;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_NE(std::string(error.what()).find(key), std::string::npos) << error.what();
    EXPECT_NE(error.hint().find(hint), std::string::npos) << error.hint();
  }
}

// llama.cpp and mlx-lm have no head_dim of Qwen2 and find other shapes than they expect.
TEST(OutputRules, Qwen2WithAHeadDimOfItsOwnGoesIntoNoFormat) {
  json config = config_of("tiny-qwen2");
  config["head_dim"] = 32;
  expect_refused(config, Format::kGguf, "head_dim", "run it as it is");
  expect_refused(config, Format::kMlx, "head_dim", "run it as it is");
  config["head_dim"] = 64;
  EXPECT_NO_THROW(plan_of(config, Format::kGguf));
  EXPECT_NO_THROW(plan_of(config, Format::kMlx));
}

TEST(OutputRules, HintsNameAFormatThatHoldsTheModel) {
  json config = config_of("tiny-qwen3-moe");
  config["norm_topk_prob"] = false;
  expect_refused(config, Format::kGguf, "norm_topk_prob", "--format mlx");
  EXPECT_NO_THROW(plan_of(config, Format::kMlx));
  config = config_of("tiny-qwen3-moe");
  config["mlp_only_layers"] = {0};
  expect_refused(config, Format::kGguf, "mlp_only_layers", "--format mlx");
  config = config_of("tiny-qwen2");
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8},
                            {"low_freq_factor", 1},
                            {"high_freq_factor", 4},
                            {"original_max_position_embeddings", 64}};
  expect_refused(config, Format::kGguf, "rope_scaling", "--format mlx");
  EXPECT_NO_THROW(plan_of(config, Format::kMlx));
}

// Both readers have gpt-oss's limit as a constant, and an output matrix of its own; mlx-lm looks
// for a layer of each kind.
TEST(OutputRules, GptOssIsWhatItsReadersKnow) {
  json config = config_of("tiny-gpt-oss");
  config["swiglu_limit"] = 5;
  expect_refused(config, Format::kGguf, "swiglu_limit", "run it as it is");
  expect_refused(config, Format::kMlx, "swiglu_limit", "run it as it is");
  config = config_of("tiny-gpt-oss");
  config["tie_word_embeddings"] = true;
  expect_refused(config, Format::kGguf, "tie_word_embeddings", "run it as it is");
  expect_refused(config, Format::kMlx, "tie_word_embeddings", "run it as it is");
  config = config_of("tiny-gpt-oss");
  config["layer_types"] = std::vector<std::string>(4, "full_attention");
  expect_refused(config, Format::kMlx, "layer_types", "run it as it is");
  config["layer_types"][3] = "sliding_attention";
  expect_refused(config, Format::kGguf, "layer_types", "--format mlx");
  EXPECT_NO_THROW(plan_of(config, Format::kMlx));
}

TEST(OutputRules, MlxSaysWhatItsReaderDoesNotCompute) {
  json config = config_of("tiny-qwen3-moe");
  EXPECT_FALSE(any_note(plan_of(config, Format::kMlx), "rope_scaling"));
  config["rope_scaling"] = {
      {"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 128}};
  EXPECT_TRUE(any_note(plan_of(config, Format::kMlx), "rope_scaling", "mlx-lm"));
  EXPECT_FALSE(any_note(plan_of(config, Format::kGguf), "mlx-lm"));
}

json mlx_config(const json& config) {
  const Plan plan = plan_of(config, Format::kMlx);
  return json::parse(plan.outputs[0].small_files[0].content);
}

TEST(OutputRules, MlxConfigHasTheRightRopeWhereItsReaderLooks) {
  json config = config_of("tiny-qwen2");
  config.erase("rope_theta");
  config["rope_parameters"] = {{"rope_theta", 1e6}, {"rope_type", "linear"}, {"factor", 2.0}};
  for (const json& stale : {json(), json(10000.0)}) {
    config["rope_theta"] = stale;
    const json written = mlx_config(config);
    EXPECT_EQ(written["rope_theta"], 1e6);
    EXPECT_EQ(written["rope_scaling"], (json{{"rope_type", "linear"}, {"factor", 2.0}}));
    EXPECT_EQ(written["rope_parameters"], config["rope_parameters"]);
  }
  // mlx-lm takes the older name of the type first.
  config = config_of("tiny-qwen2");
  config["rope_scaling"] = {{"type", "linear"}, {"rope_type", "default"}, {"factor", 2.0}};
  EXPECT_TRUE(mlx_config(config)["rope_scaling"].is_null());
  // What it reads alike stays as it is.
  config["rope_scaling"] = {{"type", "linear"}, {"factor", 2.0}, {"other", 1}};
  EXPECT_EQ(mlx_config(config)["rope_scaling"], config["rope_scaling"]);
  EXPECT_EQ(mlx_config(config_of("tiny-gpt-oss"))["rope_scaling"],
            config_of("tiny-gpt-oss")["rope_scaling"]);
}

// mlx-lm: mscale / mscale_all_dim, each 0.1 * m * ln(factor) + 1, 1 and 0 by default.
TEST(OutputRules, MlxConfigSaysTheAttentionFactorAsItsReaderTakesIt) {
  json config = config_of("tiny-qwen2");
  config["rope_scaling"] = {{"rope_type", "yarn"},
                            {"factor", 4.0},
                            {"attention_factor", 1.3},
                            {"original_max_position_embeddings", 128}};
  const json scaling = mlx_config(config)["rope_scaling"];
  EXPECT_NEAR(0.1 * scaling["mscale"].get<double>() * std::log(4.0) + 1, 1.3, 1e-9);
  EXPECT_EQ(scaling["attention_factor"], 1.3);
  // transformers ignores an mscale without mscale_all_dim, mlx-lm does not.
  config["rope_scaling"].erase("attention_factor");
  config["rope_scaling"]["mscale"] = 0.5;
  EXPECT_FALSE(mlx_config(config)["rope_scaling"].contains("mscale"));
}

// Keys that transformers has defaults for. mlx-lm demands some and has other defaults for others.
TEST(OutputRules, MlxConfigHasEveryKeyThatItsReaderNeeds) {
  json config = config_of("tiny-qwen3-moe");
  for (const char* key : {"head_dim", "decoder_sparse_step", "mlp_only_layers", "norm_topk_prob",
                          "tie_word_embeddings"}) {
    config.erase(key);
  }
  config["num_local_experts"] = config["num_experts"];
  config.erase("num_experts");
  config["num_attention_heads"] = 4;
  const json written = mlx_config(config);
  EXPECT_EQ(written["num_experts"], 8);
  EXPECT_EQ(written["head_dim"], 64);
  EXPECT_EQ(written["decoder_sparse_step"], 1);
  EXPECT_EQ(written["mlp_only_layers"], json::array());
  EXPECT_EQ(written["norm_topk_prob"], false);
  EXPECT_EQ(written["tie_word_embeddings"], false);
}

TEST(OutputRules, MlxConfigKeepsNumbersThatAreNotFinite) {
  json config = config_of("tiny-qwen2");
  config["of_no_use"] = INFINITY;
  const Plan plan = plan_of(config, Format::kMlx);
  EXPECT_NE(plan.outputs[0].small_files[0].content.find("\"of_no_use\": Infinity,"),
            std::string::npos);
}

TEST(OutputRules, TheNewerNameOfTheTypeOfWeightsWins) {
  json config = config_of("tiny-qwen2");
  config["dtype"] = "float32";
  EXPECT_EQ(plan_input_of_config(config, "model").plain, DType::kF32);
}

// As an older transformers saves again: the notes of reading are notes of the plan.
TEST(OutputRules, PlansTellOfKeysThatContradictEachOther) {
  json config = config_of("tiny-qwen2");
  config["rope_parameters"] = {{"rope_theta", 1e6}, {"rope_type", "default"}};
  config["rope_theta"] = 10000.0;
  EXPECT_TRUE(any_note(plan_of(config, Format::kGguf), "rope_theta", "10000"));
}

}  // namespace
}  // namespace pajamas::quantize
