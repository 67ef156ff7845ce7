#include "bench/shape.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>

#include "base/error.h"
#include "bench/bytes_read.h"
#include "paths.h"
#include "quantize/output_format.h"
#include "runtime/native/engine.h"

namespace pajamas::bench {
namespace {

class OfAShape : public testing::TestWithParam<std::tuple<const char*, const char*>> {};

// With the ordinary engine: every tensor that it asks for is there, and no number runs away.
TEST_P(OfAShape, RunsWithFiniteAndVariousLogits) {
  const auto& [name, method] = GetParam();
  const quantize::PlanInput input =
      quantize::load_plan_input_from_config(source_dir() + "/models/" + name + "/config.json");
  const ShapedModel shape = shape_model(input, method);
  runtime::EngineOptions options;
  options.pool = std::make_shared<const TaskPool>(2);
  options.activations = runtime::Activations::kInt8;
  options.kv_type = runtime::KvType::kF16;
  options.context = 64;
  NoProgress progress;
  const OpenedShape opened = open_shape(shape, options, ".", progress, StopFlag{});
  runtime::Engine& engine = *opened.engine;
  std::vector<runtime::BatchRow> batch;
  const runtime::SessionId session = engine.create_session();
  for (std::uint32_t i = 0; i < 40; ++i) {
    batch.push_back({session, i, static_cast<std::int32_t>(i * 7 + 1), i == 39});
  }
  std::vector<float> logits(engine.config().vocab);
  runtime::forward(engine, batch, logits, StopFlag{});
  float least = logits[0], most = logits[0];
  for (const float value : logits) {
    ASSERT_TRUE(std::isfinite(value));
    least = std::min(least, value), most = std::max(most, value);
  }
  EXPECT_GT(most - least, 0.1f);
  EXPECT_LT(most - least, 1e4f);
}

INSTANTIATE_TEST_SUITE_P(Shapes, OfAShape,
                         testing::Combine(testing::Values("tiny-qwen2", "tiny-qwen3-moe",
                                                          "tiny-gpt-oss"),
                                          testing::Values("Q4_K_M", "Q2_K", "4bit")));

quantize::PlanInput published(const std::string& name) {
  return quantize::load_plan_input_from_config(source_dir() + "/models/configs/" + name + ".json");
}

TEST(Shape, HasTheSizeOfWhatQuantizeWrites) {
  for (const char* name : {"Qwen2.5-7B-Instruct", "Qwen3-30B-A3B", "gpt-oss-20b"}) {
    const quantize::PlanInput input = published(name);
    const ShapedModel shape = shape_model(input, "q4_k_m");
    EXPECT_EQ(shape.method, "Q4_K_M");
    EXPECT_EQ(shape.format, "gguf");
    quantize::Recipe recipe;
    recipe.method = "Q4_K_M";
    recipe.output = "model";
    const auto plan = quantize::make_plan(input, {recipe}, 1);
    const double planned = static_cast<double>(plan.outputs.front().tensor_bytes);
    EXPECT_NEAR(static_cast<double>(shape.bytes), planned, planned * 1e-3) << name;
  }
}

TEST(Shape, ReadsOfAMixtureTheExpertsThatAreUsed) {
  // By hand, as BF16: 48 layers of attention, router, norms and 8 of 128 experts; the output matrix
  // and a row of the embedding. Norms and routers are float32.
  constexpr std::uint64_t kHidden = 2048, kVocab = 151936;
  constexpr std::uint64_t kAttention = 2 * 4096 * kHidden + 2 * 512 * kHidden;
  constexpr std::uint64_t kExperts = 8 * 3 * 768 * kHidden;
  constexpr std::uint64_t kFloats = 48 * (128 * kHidden + 2 * kHidden + 2 * 128) + kHidden;
  constexpr std::uint64_t kRead =
      2 * (48 * (kAttention + kExperts) + kVocab * kHidden + kHidden) + 4 * kFloats;
  EXPECT_EQ(shape_model(published("Qwen3-30B-A3B"), "BF16").bytes_per_token, kRead);
}

TEST(Shape, RefusesWhatIsNoMethod) {
  try {
    shape_model(published("gpt-oss-20b"), "Q4_K_X");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_NE(std::string(error.what()).find("Q4_K"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace pajamas::bench
