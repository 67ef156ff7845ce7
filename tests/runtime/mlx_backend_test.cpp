// The backend "mlx", where this build has it, against the CPU engine.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "base/error.h"
#include "runtime/engine_answers.h"
#include "runtime/mlx/backend.h"
#include "runtime/mlx/plugin.h"

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

// An empty folder in which it is looked for.
class WithoutPlugin : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) /
              testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
};

TEST(MlxBackend, SaysWhereItComesFromOrHowToGetIt) {
  const std::string text = mlx_backend().description();
  EXPECT_NE(text.find(mlx_backend().available() ? "mlx 0." : "tools/setup_mlx.sh"),
            std::string::npos)
      << text;
}

Error refusal_of(const Backend& backend, const EngineOptions& options) {
  try {
    backend.require_options(options);
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was refused";
  return Error(ErrorCode::kUsage, "");
}

// Options that it knows nothing of; each by its name and with the backend's.
TEST(MlxBackend, RefusesOptionsThatItDoesNotKnow) {
  for (const KvTypeInfo& type : kKvTypes) {
    EngineOptions options;
    options.kv_type = type.id;
    if (type.block == 1) {
      EXPECT_NO_THROW(mlx_backend().require_options(options)) << type.name;
      continue;
    }
    const Error error = refusal_of(mlx_backend(), options);
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_NE(error.problem().find("\"mlx\""), std::string::npos);
    EXPECT_NE(error.problem().find(type.name), std::string::npos);
  }
  EngineOptions threads, kernels;
  threads.threads_asked = kernels.kernels_asked = true;
  for (const auto& [options, flag] : {std::pair(threads, "--threads"), {kernels, "--kernels"}}) {
    const Error error = refusal_of(mlx_backend(), options);
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_NE(error.problem().find("\"mlx\""), std::string::npos);
    EXPECT_NE(error.hint().find(flag), std::string::npos);
    EXPECT_NO_THROW(backend_by_name("cpu").require_options(options));
  }
}

TEST_F(WithoutPlugin, IsRefusedAsByName) {
  const auto backend = mlx_backend_of({&folder_, 1});
  EXPECT_FALSE(backend->available());
  EXPECT_EQ(backend->plugin(), "");
  ModelEngine cpu("tiny-qwen2");
  try {
    backend->open_store(cpu.store, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_NE(error.problem().find("\"mlx\" cannot run here: there is no"), std::string::npos)
        << error.problem();
    EXPECT_EQ(error.hint().find("use one of: cpu"), 0u) << error.hint();
  }
}

// A file of the name that is no library is found and not usable.
TEST_F(WithoutPlugin, SaysWhatIsWrongWithTheOneThere) {
  const auto file = folder_ / kMlxPluginName;
  std::ofstream(file) << "no library";
  const auto backend = mlx_backend_of({&folder_, 1});
  EXPECT_FALSE(backend->available());
  EXPECT_EQ(backend->plugin(), file);
  EXPECT_NE(backend->description().find(kMlxPluginName), std::string::npos)
      << backend->description();
  EXPECT_THROW(require_available(*backend), Error);
}

}  // namespace
}  // namespace pajamas::runtime
