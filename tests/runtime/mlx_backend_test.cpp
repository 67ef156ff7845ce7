// The backend "mlx", where this build has it, against the CPU engine.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "runtime/engine_answers.h"
#include "runtime/mlx/backend.h"

namespace pajamas::runtime {
namespace {

class OnMlx : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!mlx_backend().available()) GTEST_SKIP() << mlx_backend().description();
  }
};
INSTANTIATE_TEST_SUITE_P(Models, OnMlx,
                         testing::Values("tiny-qwen2", "tiny-qwen3-moe", "tiny-gpt-oss"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

// Forks, truncations, several sessions in a batch, taps, activations that are restored: what 150
// tokens and three texts come to, expert by expert and in floats.
TEST_P(OnMlx, AnswersAreThoseOfTheCpu) {
  ModelEngine cpu(GetParam());
  EngineOptions options;
  options.context = 256;
  const auto mlx = mlx_backend().open_store(cpu.store, options);
  EXPECT_EQ(mlx->backend(), "mlx");
  const std::vector<float> expected = answers_of(cpu.engine), answers = answers_of(*mlx);
  ASSERT_EQ(answers.size(), expected.size());
  float largest = 0, difference = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_TRUE(std::isfinite(answers[i])) << i;
    largest = std::max(largest, std::abs(expected[i]));
    difference = std::max(difference, std::abs(answers[i] - expected[i]));
  }
  EXPECT_LT(difference, 1e-5f * largest);
}

// A window of 128 positions is passed several times, in pieces of a prompt and token by token.
TEST_P(OnMlx, LongTextsGoOnAsOnTheCpu) {
  ModelEngine cpu(GetParam());
  EngineOptions options;
  options.context = 1024;
  const auto mlx = mlx_backend().open_store(cpu.store, options);
  const auto last_logits = [&](Engine& engine) {
    const SessionId text = engine.create_session();
    std::uint32_t position = 0;
    std::vector<float> logits;
    for (const std::uint32_t count : {400u, 137u, 1u, 1u}) {
      const auto rows = rows_of_text(text, 5, engine.config().vocab, position, count);
      const HiddenPtr hidden = run_layers(engine, rows, StopFlag{});
      logits.resize(engine.config().vocab);
      engine.logits(*hidden, std::vector<std::size_t>{count - 1}, logits);
      position += count;
    }
    return logits;
  };
  const std::vector<float> expected = last_logits(cpu.engine), logits = last_logits(*mlx);
  const float largest = std::abs(
      *std::ranges::max_element(expected, {}, [](float value) { return std::abs(value); }));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(logits[i], expected[i], 1e-5f * largest) << i;
  }
}

TEST(MlxBackend, SaysWhereItComesFromOrHowToGetIt) {
  const std::string text = mlx_backend().description();
  EXPECT_NE(text.find(mlx_backend().available() ? "mlx 0." : "tools/setup_mlx.sh"),
            std::string::npos)
      << text;
}

TEST(MlxBackend, RefusesKeysAndValuesThatItCannotStore) {
  ModelEngine cpu("tiny-qwen2");
  EngineOptions options;
  options.kv_type = KvType::kQ4_0;
  try {
    mlx_backend().open_store(cpu.store, options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_NE(error.problem().find("\"mlx\""), std::string::npos);
  }
}

}  // namespace
}  // namespace pajamas::runtime
