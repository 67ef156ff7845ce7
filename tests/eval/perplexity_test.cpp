#include "eval/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "base/error.h"
#include "eval/divergence.h"
#include "eval/shipped.h"
#include "model/checkpoint.h"
#include "model/text_assets.h"
#include "paths.h"
#include "runtime/native/cpu/device.h"
#include "runtime/native/engine.h"
#include "text/tokenizer.h"
#include "weights/mapped.h"

namespace pajamas::eval {
namespace {

const std::string kTinyModel = source_dir() + "/models/tiny-qwen2";

TEST(Divergence, IsTheTextbooks) {
  // p = (1/2, 1/4, 1/4), q = (1/4, 1/4, 1/2): KL(p || q) = ln(2) / 4.
  const std::vector<float> p = {std::log(2.0f) + 7, 7, 7};
  const std::vector<float> q = {-3, -3, std::log(2.0f) - 3};
  const PositionScore score = score_position(q, p, 0);
  EXPECT_NEAR(score.kl, std::log(2.0) / 4, 1e-6);
  EXPECT_NEAR(score.nll, std::log(4.0), 1e-6);
  EXPECT_NEAR(score.reference_nll, std::log(2.0), 1e-6);
  EXPECT_FALSE(score.same_top);
  const PositionScore same = score_position(p, p, 1);
  EXPECT_EQ(same.kl, 0);
  EXPECT_TRUE(same.same_top);
}

TEST(Divergence, LogitsThatAreNotFiniteAreAnError) {
  EXPECT_THROW(score_position(std::vector<float>{0, NAN}, {}, 0), Error);
  EXPECT_THROW(score_position(std::vector<float>{0, INFINITY}, {}, 0), Error);
}

struct Tiny {
  explicit Tiny(int threads)
      : pool(threads),
        engine(std::make_unique<runtime::CpuDevice>(
            std::make_unique<weights::MappedWeights>(model::Checkpoint::open(kTinyModel)), pool,
            kernels::best_kernels())) {}

  Score score(const ScoreOptions& options, runtime::Engine* reference = nullptr,
              const LogitsSink& sink = nullptr) {
    NoProgress progress;
    ScoreAgainst against;
    against.reference = reference;
    against.sink = sink;
    return score_text(engine, against, tokens(), options, pool, progress, StopFlag{});
  }
  static const std::vector<std::int32_t>& tokens() {
    static const std::vector<std::int32_t> ids =
        text::Tokenizer(model::load_text_assets(kTinyModel).tokenizer).encode(heldout_text());
    return ids;
  }

  TaskPool pool;
  runtime::NativeEngine engine;
};

// mlx-lm 0.32.2 in float32 on the same chunks, scored by llama.cpp's rule with numpy.
TEST(Perplexity, OfTheFirstChunksIsTheReferences) {
  Tiny tiny(2);
  const Score score = tiny.score({.context = 256, .max_chunks = 4});
  EXPECT_EQ(score.chunks, 4u);
  EXPECT_EQ(score.tokens, 4u * 127);
  EXPECT_NEAR(score.perplexity, 37.484449, 1e-3);
  EXPECT_NEAR(score.perplexity_stderr, 4.067106, 1e-3);
  EXPECT_FALSE(score.comparison.has_value());
}

TEST(Perplexity, ReplacesTheFirstTokenByBos) {
  Tiny tiny(2);
  const Score score = tiny.score({.context = 256, .max_chunks = 4, .bos = 2016});
  EXPECT_NEAR(score.perplexity, 37.410535, 1e-3);
}

TEST(Perplexity, ThreadsChangeNothing) {
  Tiny one(1), three(3);
  const ScoreOptions options{.context = 64, .max_chunks = 3, .bos = {}};
  EXPECT_EQ(one.score(options).perplexity, three.score(options).perplexity);
}

TEST(Perplexity, AModelAgainstItselfLosesNothing) {
  Tiny tiny(2), other(2);
  const Score score = tiny.score({.context = 64, .max_chunks = 2}, &other.engine);
  ASSERT_TRUE(score.comparison.has_value());
  EXPECT_EQ(score.comparison->loss_percent, 0);
  EXPECT_EQ(score.comparison->kl_mean, 0);
  EXPECT_EQ(score.comparison->top1, 1);
}

TEST(Perplexity, TheSinkSeesEveryPosition) {
  Tiny tiny(2);
  std::size_t floats = 0;
  const ScoreOptions options{.context = 300, .max_chunks = 2, .bos = {}};
  const Score with =
      tiny.score(options, nullptr, [&](std::span<const float> logits) { floats += logits.size(); });
  EXPECT_EQ(floats, 2u * 300 * 2048);
  EXPECT_EQ(with.perplexity, tiny.score(options).perplexity);
}

TEST(Perplexity, ChunksLongerThanABatchAreTheSame) {
  Tiny tiny(2);
  const Score score = tiny.score({.context = 1000, .max_chunks = 1});
  EXPECT_EQ(score.tokens, 499u);
  EXPECT_TRUE(std::isfinite(score.perplexity));
}

TEST(Perplexity, ShortTextsAreRefused) {
  Tiny tiny(1);
  try {
    tiny.score({.context = 20000});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
  }
}

}  // namespace
}  // namespace pajamas::eval
