#include "runtime/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <vector>

#include "base/error.h"
#include "paths.h"
#include "runtime/generate.h"
#include "runtime/tiny_engine.h"

namespace pajamas::runtime {
namespace {

// The first 64 tokens of models/eval/heldout.txt, and what mlx-lm in float32 makes of them:
// data/make_reference.py.
constexpr std::int32_t kTokens[64] = {
    50,   51,   1757, 36,   1270, 1889, 603, 45,  1983, 340,  35,  35,  49,  1506, 1270, 1889,
    510,  49,   706,  40,   35,   544,  51,  671, 46,   1889, 587, 46,  559, 51,   386,  1506,
    1983, 1270, 393,  1178, 1621, 1506, 460, 41,  287,  84,   565, 220, 17,  23,   11,   220,
    17,   15,   15,   18,   460,  44,   81,  13,  386,  405,  494, 267, 11,  848,  513,  984};
constexpr std::int32_t kTop[64] = {
    926,  276,  39,   1270, 1889, 603, 45,  1983, 460,  35,  35,  460, 1506, 549, 1889, 603,
    49,   706,  40,   35,   544,  51,  438, 49,   1889, 393, 46,  559, 51,   386, 1506, 1983,
    1270, 1889, 1178, 1621, 1506, 549, 41,  287,  84,   565, 220, 16,  16,   11,  220,  16,
    15,   15,   15,   460,  44,   81,  13,  386,  405,  494, 267, 11,  502,  513, 984,  11};
constexpr std::int32_t kPrompt[] = {773, 262, 1289, 1250, 754, 1587, 286};
constexpr std::int32_t kGreedy[] = {281, 262, 479, 277, 262, 877,  743, 11,  282, 281, 262,
                                    479, 277, 262, 877, 743, 13,   447, 877, 743, 282, 262,
                                    877, 743, 351, 302, 262, 1647, 277, 262, 877, 743};
constexpr std::size_t kVocab = 2048;

// Positions 3, 7, ... 63.
std::vector<float> reference_rows() {
  std::vector<float> rows(16 * kVocab);
  std::ifstream file(source_dir() + "/tests/runtime/data/reference.f32", std::ios::binary);
  file.read(reinterpret_cast<char*>(rows.data()),
            static_cast<std::streamsize>(rows.size() * sizeof(float)));
  EXPECT_TRUE(file.good());
  return rows;
}

double largest(std::span<const float> values) {
  double top = 0;
  for (const float v : values) top = std::max(top, std::abs(static_cast<double>(v)));
  return top;
}

// max|a - b| / max|b| over one position.
double deviation(std::span<const float> a, std::span<const float> b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return worst / largest(b);
}

class EachKernels : public testing::TestWithParam<const kernels::KernelTable*> {
 protected:
  void SetUp() override {
    if (!GetParam()->supported(cpu_features())) GTEST_SKIP() << "not on this processor";
  }
};
INSTANTIATE_TEST_SUITE_P(Kernels, EachKernels,
                         testing::ValuesIn(kernels::all_kernels().begin(),
                                           kernels::all_kernels().end()),
                         [](const auto& table) { return std::string(table.param->name); });

TEST_P(EachKernels, LogitsAreTheReferences) {
  TinyEngine tiny(2, *GetParam());
  const auto logits = tiny.run(tiny.engine.create_session(), kTokens);
  const auto rows = reference_rows();
  for (std::size_t i = 0; i < 64; ++i) {
    const auto ours = std::span(logits).subspan(i * kVocab, kVocab);
    EXPECT_EQ(std::ranges::max_element(ours) - ours.begin(), kTop[i]) << "position " << i;
    if (i % 4 != 3) continue;
    EXPECT_LT(deviation(ours, std::span(rows).subspan(i / 4 * kVocab, kVocab)), 2e-5) << i;
  }
}

TEST_P(EachKernels, ThreadsChangeNothing) {
  const auto logits = [](int threads) {
    TinyEngine tiny(threads, *GetParam());
    return tiny.run(tiny.engine.create_session(), kTokens);
  };
  const auto one = logits(1);
  EXPECT_EQ(one, logits(2));
  EXPECT_EQ(one, logits(3));
}

TEST_P(EachKernels, OneBatchEqualsTokenByToken) {
  TinyEngine tiny(2, *GetParam());
  const auto together = tiny.run(tiny.engine.create_session(), kTokens);
  const SessionId session = tiny.engine.create_session();
  std::vector<float> single;
  for (const std::int32_t token : kTokens) {
    const auto logits = tiny.run(session, {&token, 1});
    single.insert(single.end(), logits.begin(), logits.end());
  }
  EXPECT_EQ(together, single);
}

TEST(Engine, SessionsInOneBatchDoNotSeeEachOther) {
  TinyEngine tiny;
  const auto tokens = std::span(kTokens).first(10);
  const auto other = std::span(kTokens).subspan(20, 10);
  const auto alone = tiny.run(tiny.engine.create_session(), tokens);
  const SessionId a = tiny.engine.create_session();
  const SessionId b = tiny.engine.create_session();
  std::vector<BatchRow> batch;
  for (std::uint32_t i = 0; i < 10; ++i) {
    batch.push_back({b, i, other[i], false});
    batch.push_back({a, i, tokens[i], true});
  }
  std::vector<float> logits(10 * kVocab);
  forward(tiny.engine, batch, logits, StopFlag{});
  EXPECT_EQ(logits, alone);
}

TEST(Engine, ForksShareThePastAndThenPartWays) {
  TinyEngine tiny;
  const auto whole = tiny.run(tiny.engine.create_session(), kTokens);
  const SessionId base = tiny.engine.create_session();
  tiny.run(base, std::span(kTokens).first(40));
  const SessionId fork = tiny.engine.fork(base);
  EXPECT_EQ(tiny.engine.length(fork), 40u);
  tiny.run(fork, std::span(kPrompt));  // must not show in base, whose last block it shared
  const auto rest = tiny.run(base, std::span(kTokens).subspan(40));
  EXPECT_TRUE(std::ranges::equal(rest, std::span(whole).subspan(40 * kVocab)));
  tiny.engine.release(base);
  tiny.engine.truncate(fork, 40);
  const auto again = tiny.run(fork, std::span(kTokens).subspan(40));
  EXPECT_EQ(again, rest);
}

TEST(Engine, TruncationForgets) {
  TinyEngine tiny;
  const auto whole = tiny.run(tiny.engine.create_session(), kTokens);
  const SessionId session = tiny.engine.create_session();
  tiny.run(session, std::span(kTokens).first(5));
  tiny.run(session, std::span(kPrompt));
  tiny.engine.truncate(session, 5);
  EXPECT_EQ(tiny.engine.length(session), 5u);
  const auto rest = tiny.run(session, std::span(kTokens).subspan(5));
  EXPECT_TRUE(std::ranges::equal(rest, std::span(whole).subspan(5 * kVocab)));
}

TEST(Engine, LongSessionsCrossBlocks) {
  TinyEngine tiny(2);
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < 300; ++i) tokens.push_back(kTokens[i % 64]);
  const auto whole = tiny.run(tiny.engine.create_session(), tokens);
  const SessionId session = tiny.engine.create_session();
  tiny.run(session, std::span(tokens).first(250));
  const auto rest = tiny.run(session, std::span(tokens).subspan(250));
  EXPECT_TRUE(std::ranges::equal(rest, std::span(whole).subspan(250 * kVocab)));
}

TEST(Engine, TokensBeyondTheVocabularyAreRefusedWithoutATrace) {
  TinyEngine tiny;
  const SessionId session = tiny.engine.create_session();
  for (const std::int32_t token : {2048, -1}) {
    try {
      tiny.run(session, {&token, 1});
      FAIL() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
    }
  }
  EXPECT_EQ(tiny.engine.length(session), 0u);
}

TEST(Engine, StopsBetweenLayers) {
  TinyEngine tiny;
  StopFlag stop;
  stop.request();
  const BatchRow row{tiny.engine.create_session(), 0, 1, true};
  std::vector<float> logits(kVocab);
  EXPECT_THROW(forward(tiny.engine, {&row, 1}, logits, stop), Error);
}

std::vector<std::int32_t> generated(const SequenceLimits& limits, SamplerOptions sampling,
                                    GenerateResult& result, int stop_after = 1000) {
  TinyEngine tiny(2);
  Sampler sampler(sampling);
  StopFlag stop;
  std::vector<std::int32_t> tokens;
  result =
      generate(tiny.engine, sampler, kPrompt, {limits}, stop, nullptr, [&](std::int32_t token) {
        tokens.push_back(token);
        if (static_cast<int>(tokens.size()) == stop_after) stop.request();
      });
  return tokens;
}

TEST(Generate, GreedyTextIsTheReferences) {
  GenerateResult result;
  const auto tokens = generated({32, 100, {}}, {.temperature = 0}, result);
  EXPECT_TRUE(std::ranges::equal(tokens, kGreedy));
  EXPECT_EQ(result.reason, StopReason::kMaxTokens);
  EXPECT_EQ(result.prompt_tokens, 7u);
  EXPECT_EQ(result.generated_tokens, 32u);
  EXPECT_GT(result.generation_tokens_per_second(), 0);
}

TEST(Generate, EndsForEachReason) {
  GenerateResult result;
  EXPECT_EQ(generated({32, 100, {743}}, {.temperature = 0}, result).size(), 6u);
  EXPECT_EQ(result.reason, StopReason::kStopToken);
  // Positions 7, 8 and 9 are run; the token after the last of them is still known.
  EXPECT_EQ(generated({32, 10, {}}, {.temperature = 0}, result).size(), 4u);
  EXPECT_EQ(result.reason, StopReason::kContextFull);
  EXPECT_EQ(generated({32, 100, {}}, {.temperature = 0}, result, 3).size(), 3u);
  EXPECT_EQ(result.reason, StopReason::kInterrupted);
}

TEST(Generate, TheSeedDecides) {
  GenerateResult result;
  const SequenceLimits options{16, 100, {}};
  const auto first = generated(options, {.temperature = 1.0, .seed = 5}, result);
  EXPECT_EQ(first, generated(options, {.temperature = 1.0, .seed = 5}, result));
  EXPECT_NE(first, generated(options, {.temperature = 1.0, .seed = 6}, result));
}

TEST(Generate, PromptsThatDoNotFitAreRefused) {
  GenerateResult result;
  EXPECT_THROW(generated({1, 6, {}}, {}, result), Error);
  EXPECT_EQ(generated({1, 7, {}}, {}, result).size(), 1u);
}

}  // namespace
}  // namespace pajamas::runtime
