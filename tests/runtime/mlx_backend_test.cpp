// The backend "mlx", where this build has it, against the CPU engine.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "runtime/engine_answers.h"
#include "runtime/mlx/backend.h"
#include "runtime/mlx/plugin.h"

namespace pajamas::runtime {
namespace {

// The largest difference, as a part of the largest number expected.
float relative_error(const std::vector<float>& numbers, const std::vector<float>& expected) {
  float largest = 0, difference = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::abs(expected[i]));
    // Not std::max, which would lose what is no number.
    if (!(std::abs(numbers[i] - expected[i]) <= difference))
      difference = std::abs(numbers[i] - expected[i]);
  }
  return difference / largest;
}

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
  EXPECT_LT(relative_error(answers_of(*mlx), answers_of(cpu.engine)), 1e-5f);
}

// Logits of the last token of a text that is run in pieces of these lengths.
std::vector<float> last_logits(Engine& engine, std::span<const std::uint32_t> pieces) {
  const SessionId text = engine.create_session();
  std::uint32_t position = 0;
  std::vector<float> logits(engine.config().vocab);
  for (const std::uint32_t count : pieces) {
    const auto rows = rows_of_text(text, 5, engine.config().vocab, position, count);
    const HiddenPtr hidden = run_layers(engine, rows, StopFlag{});
    engine.logits(*hidden, std::vector<std::size_t>{count - 1}, logits);
    position += count;
  }
  engine.release(text);
  return logits;
}

std::unique_ptr<Engine> mlx_engine(const ModelEngine& model, KvType kv_type) {
  EngineOptions options;
  options.context = 1024;
  options.kv_type = kv_type;
  return mlx_backend().open_store(model.store, options);
}

// A window is passed several times, in pieces of a prompt and token by token; blocks are filled up
// by single tokens, and by several at once.
constexpr std::uint32_t kLongText[] = {300, 83, 1, 1, 1, 60, 1};

TEST_P(OnMlx, LongTextsGoOnAsOnTheCpu) {
  ModelEngine cpu(GetParam());
  const auto mlx = mlx_engine(cpu, KvType::kF32);
  EXPECT_LT(relative_error(last_logits(*mlx, kLongText), last_logits(cpu.engine, kLongText)),
            1e-5f);
}

// Keys and values as codes: nearer the more bits these have, and for the tokens after a prompt,
// which multiply codes, as near as for the prompt's, which are multiplied with what the codes stand
// for.
TEST_P(OnMlx, CodesOfKeysAndValuesAreNearTheNumbers) {
  ModelEngine cpu(GetParam());
  constexpr std::uint32_t kByToken[] = {90, 37, 1, 1, 1}, kAtOnce[] = {90, 40};
  const std::vector<float> expected = last_logits(cpu.engine, kByToken);
  const std::vector<float> at_once = last_logits(cpu.engine, kAtOnce);
  float before = 0;
  for (const auto& [type, most] :
       {std::pair(KvType::kF16, 5e-4f), {KvType::kQ8_0, 8e-3f}, {KvType::kQ4_0, .25f}}) {
    const auto mlx = mlx_engine(cpu, type);
    const float error = relative_error(last_logits(*mlx, kByToken), expected);
    const float of_prompt = relative_error(last_logits(*mlx, kAtOnce), at_once);
    RecordProperty(std::string(info(type).name), std::to_string(error));
    EXPECT_LT(error, most) << info(type).name;
    EXPECT_LT(of_prompt, most) << info(type).name;
    EXPECT_GT(error, before) << info(type).name;
    before = error;
  }
}

// Full blocks that lie side by side are shared by forks; going back into the middle of one and on
// with another text must change that text alone.
TEST_P(OnMlx, ForksThatGoBackLeaveTheOthersAlone) {
  ModelEngine cpu(GetParam());
  for (const KvType type : {KvType::kF32, KvType::kQ8_0}) {
    const auto answers = [&](Engine& engine) {
      const std::uint64_t vocab = engine.config().vocab;
      std::vector<float> out;
      const auto run = [&](SessionId text, std::uint64_t seed, std::uint32_t at,
                           std::uint32_t count) {
        const auto rows = rows_of_text(text, seed, vocab, at, count);
        const HiddenPtr hidden = run_layers(engine, rows, StopFlag{});
        std::vector<float> logits(vocab);
        engine.logits(*hidden, std::vector<std::size_t>{count - 1}, logits);
        out.insert(out.end(), logits.begin(), logits.end());
      };
      const SessionId first = engine.create_session();
      run(first, 5, 0, 260);
      run(first, 5, 260, 1);  // joins what is full
      const SessionId second = engine.fork(first);
      EXPECT_EQ(engine.truncate(second, 250), 250u);
      run(second, 6, 250, 1);
      run(second, 6, 251, 9);
      run(first, 5, 261, 1);
      engine.release(second);
      run(first, 5, 262, 1);
      return out;
    };
    const auto mlx = mlx_engine(cpu, type);
    const float most = type == KvType::kF32 ? 1e-5f : 2e-2f;
    EXPECT_LT(relative_error(answers(*mlx), answers(cpu.engine)), most) << info(type).name;
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
    EXPECT_NO_THROW(mlx_backend().require_options(options)) << type.name;
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
