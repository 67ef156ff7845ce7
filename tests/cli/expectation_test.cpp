// The arithmetic of `doctor` and of hints: sizes are checked against what the published shapes give
// by hand.
#include "cli/expectation.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "cli/doctor/report.h"
#include "quantize/plan_input.h"
#include "runtime/backend.h"

namespace pajamas::cli {
namespace {

quantize::PlanInput known(std::string_view name) {
  for (const KnownModel& model : known_models()) {
    if (model.name != name) continue;
    return quantize::plan_input_of_config(nlohmann::json::parse(model.config), std::string(name));
  }
  ADD_FAILURE() << name;
  return {};
}

runtime::EngineOptions of_4096() {
  runtime::EngineOptions options;
  options.context = 4096;
  return options;
}

const MethodNeeds& find(const std::vector<MethodNeeds>& all, std::string_view method) {
  for (const MethodNeeds& each : all) {
    if (each.method == method) return each;
  }
  ADD_FAILURE() << method;
  return all.front();
}

TEST(KnownModels, AreTheThree) {
  ASSERT_EQ(known_models().size(), 3u);
  EXPECT_EQ(known_models()[0].name, "Qwen2.5-7B-Instruct");
  EXPECT_EQ(known_models()[1].name, "Qwen3-30B-A3B");
  EXPECT_EQ(known_models()[2].name, "gpt-oss-20b");
}

TEST(Needs, OfADenseModelAreItsMatrices) {
  const auto input = known("Qwen2.5-7B-Instruct");
  const auto needs = needs_by_method(input, of_4096());
  // Matrices of a layer and the output at 34 bytes for 32 weights; norms and biases as float32.
  constexpr std::uint64_t kHidden = 3584, kKv = 512, kFfn = 18944, kVocab = 152064;
  constexpr std::uint64_t kLayer = 2 * kHidden * kHidden + 2 * kKv * kHidden + 3 * kFfn * kHidden;
  constexpr std::uint64_t kSmall = 28 * (2 * kHidden + kHidden + 2 * kKv) + kHidden;
  constexpr std::uint64_t kRow = kHidden * 34 / 32;
  constexpr std::uint64_t kRead = (28 * kLayer + kVocab * kHidden) / 32 * 34 + kSmall * 4 + kRow;
  const MethodNeeds& q8 = find(needs, "Q8_0");
  EXPECT_EQ(q8.bytes_per_token, kRead);
  EXPECT_NEAR(static_cast<double>(q8.file_bytes), static_cast<double>(kRead + (kVocab - 1) * kRow),
              1e5);  // the header
  EXPECT_EQ(q8.memory_bytes,
            q8.file_bytes + runtime::memory_needs(input.config, of_4096()).total());
  for (std::size_t i = 1; i < needs.size(); ++i) {
    EXPECT_LT(needs[i].file_bytes, needs[i - 1].file_bytes) << needs[i].method;
  }
}

TEST(Needs, OfExpertsAreThoseThatAreUsed) {
  const auto input = known("Qwen3-30B-A3B");
  const auto needs = needs_by_method(input, of_4096());
  const MethodNeeds& q8 = find(needs, "Q8_0");
  // llama-quantize's Q8_0 has 32.478 GB; 8 of 128 experts, 48 layers, three matrices of 768 x 2048.
  EXPECT_NEAR(static_cast<double>(q8.file_bytes) / 1e9, 32.478, 0.01);
  constexpr std::uint64_t kExperts = 48ull * 3 * 768 * 2048 / 32 * 34;
  constexpr std::uint64_t kEmbedding = (151936ull - 1) * 2048 / 32 * 34;
  const double expected = 32.478e9 - static_cast<double>(128 * kExperts) +
                          static_cast<double>(8 * kExperts) - static_cast<double>(kEmbedding);
  EXPECT_NEAR(static_cast<double>(q8.bytes_per_token), expected, 2e7);
}

TEST(Needs, KeepMxfp4Experts) {
  const auto needs = needs_by_method(known("gpt-oss-20b"), of_4096());
  EXPECT_EQ(needs.front().method, "MXFP4_MOE");
  EXPECT_NEAR(static_cast<double>(needs.front().file_bytes) / 1e9, 12.097, 0.01);
}

TEST(BestThatFits, IsTheFirst) {
  const std::vector<MethodNeeds> needs{{"big", 8, 4, 10}, {"small", 4, 2, 5}};
  EXPECT_EQ(best_that_fits(needs, 11)->method, "big");
  EXPECT_EQ(best_that_fits(needs, 10)->method, "big");
  EXPECT_EQ(best_that_fits(needs, 9)->method, "small");
  EXPECT_FALSE(best_that_fits(needs, 4));
  EXPECT_FALSE(best_that_fits({}, 4));
}

TEST(PredictedRate, IsBandwidthOverBytes) {
  EXPECT_DOUBLE_EQ(predicted_rate(20e9, 4'000'000'000), 5);
}

TEST(MethodsThatFit, AreTheLargestTwo) {
  const auto input = known("Qwen2.5-7B-Instruct");
  quantize::Recipe gguf;
  gguf.method = "Q8_0";
  const std::string two = methods_that_fit(input, {&gguf, 1}, 5'000'000'000);
  EXPECT_EQ(two.rfind("--method Q4_K_M (4.68 GB) or Q3_K_M (3.8", 0), 0u) << two;
  EXPECT_EQ(methods_that_fit(input, {&gguf, 1}, 1'000'000'000), "");
  quantize::Recipe mlx;
  mlx.format = quantize::Format::kMlx;
  mlx.method = "8bit";
  const std::vector<quantize::Recipe> both{gguf, mlx};
  const std::string pair = methods_that_fit(input, both, 10'000'000'000);
  EXPECT_EQ(pair.rfind("--method Q4_K_M (", 0), 0u) << pair;
  EXPECT_EQ(methods_that_fit(input, {&mlx, 1}, 5'000'000'000).rfind("--method 4bit (", 0), 0u);
}

TEST(ExpectOfModels, SaysUnknownWhereItIs) {
  const auto blind = expect_of_models(of_4096(), 0, 0);
  ASSERT_EQ(blind.size(), 3u);
  for (const auto& model : blind) {
    EXPECT_TRUE(model["fits"].is_null());
    EXPECT_TRUE(model["method"].is_null());
    EXPECT_TRUE(model["predicted_tokens_per_second"].is_null());
  }
  for (const auto& model : expect_of_models(of_4096(), 1'000'000, 10e9)) {
    EXPECT_FALSE(model["fits"].get<bool>());
    EXPECT_TRUE(model["predicted_tokens_per_second"].is_null());
  }
  for (const auto& model : expect_of_models(of_4096(), 64'000'000'000, 10e9)) {
    EXPECT_TRUE(model["fits"].get<bool>());
    EXPECT_DOUBLE_EQ(model["predicted_tokens_per_second"].get<double>(),
                     10e9 / model["bytes_per_token"].get<double>());
  }
}

}  // namespace
}  // namespace pajamas::cli
