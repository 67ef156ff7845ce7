// Texts that are scored layer by layer, against the same texts chunk by chunk: every figure, logit
// and kept byte is the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "eval/perplexity.h"
#include "io/temp.h"
#include "runtime/model_engine.h"
#include "runtime/probe_engine.h"

namespace pajamas::eval {
namespace {

using runtime::KvType;
using runtime::ModelEngine;
using runtime::ProbeEngine;

std::vector<std::int32_t> tokens_of(std::size_t count, std::size_t vocab) {
  std::vector<std::int32_t> out;
  for (const runtime::BatchRow& row :
       runtime::rows_of_text(0, 11, vocab, 0, static_cast<std::uint32_t>(count))) {
    out.push_back(row.token);
  }
  return out;
}

std::vector<double> figures_of(const Score& score) {
  std::vector<double> out{score.perplexity, score.perplexity_stderr,
                          static_cast<double>(score.tokens), static_cast<double>(score.chunks)};
  for (const Band& band : score.bands) {
    out.insert(out.end(), {static_cast<double>(band.first), static_cast<double>(band.last),
                           band.perplexity, band.loss_percent, band.kl_mean, band.top1});
  }
  if (score.comparison) {
    const Comparison& c = *score.comparison;
    out.insert(out.end(), {c.reference_perplexity, c.loss_percent, c.loss_stderr, c.kl_mean,
                           c.kl_stderr, c.kl_error, c.kl_p99, c.top1, c.top1_stderr});
    out.insert(out.end(), c.kl_shares.begin(), c.kl_shares.end());
  }
  return out;
}

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Result {
  std::vector<double> figures;
  std::vector<float> logits;
  std::string kept;
};

class EachModel : public testing::TestWithParam<const char*> {
 protected:
  EachModel()
      : model_(GetParam()), reference_(GetParam(), runtime::Activations::kFloat, KvType::kQ4_0) {}

  Result score(const ScoreOptions& options, bool compare, bool every_logit) {
    const std::uint64_t vocab = model_.engine.config().vocab;
    const auto tokens = tokens_of(options.context * 3 + 5, vocab);
    ReferenceHeader header;
    header.context = options.context;
    header.vocab = static_cast<std::uint32_t>(vocab);
    header.tokens.assign(tokens.begin(), tokens.begin() + options.context * 3);
    const std::filesystem::path path = folder_.path() / "kept";
    ReferenceWriter writer(path, header, {.replace = true});
    Result result;
    ScoreAgainst against;
    if (compare) against.reference = &reference_.engine;
    against.keep = &writer;
    if (every_logit) {
      against.sink = [&](std::span<const float> logits) {
        result.logits.insert(result.logits.end(), logits.begin(), logits.end());
      };
    }
    NoProgress progress;
    result.figures = figures_of(
        score_text(model_.engine, against, tokens, options, model_.pool, progress, StopFlag{}));
    writer.commit();
    result.kept = bytes_of(path);
    std::filesystem::remove(path);
    EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
    return result;
  }

  void expect_the_same(ScoreOptions options, bool compare, bool every_logit) {
    const Result plain = score(options, compare, every_logit);
    ASSERT_GT(plain.kept.size(), 1000u);
    for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{300'000}, UINT64_MAX}) {
      options.layer_by_layer = LayerByLayer{bytes, folder_.path()};
      const Result layered = score(options, compare, every_logit);
      EXPECT_EQ(layered.figures, plain.figures) << bytes;
      EXPECT_TRUE(layered.logits == plain.logits) << bytes;
      EXPECT_TRUE(layered.kept == plain.kept) << bytes;
    }
  }

  test::TempFolder folder_;
  ModelEngine model_, reference_;
};
INSTANTIATE_TEST_SUITE_P(LayerByLayer, EachModel,
                         testing::Values("tiny-qwen2", "tiny-qwen3-moe", "tiny-gpt-oss"),
                         [](const auto& model) {
                           std::string name = model.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

// Several chunks in a batch; the reference's distributions are kept.
TEST_P(EachModel, ShortChunksAgainstAnother) {
  expect_the_same({.context = 90, .max_chunks = 0, .bos = 5}, true, false);
}

// A chunk in several batches, the end of one beside the beginning of the next.
TEST_P(EachModel, LongChunksAlone) { expect_the_same({.context = 600}, false, false); }

TEST_P(EachModel, EveryLogitIsHandedOut) {
  expect_the_same({.context = 60, .max_chunks = 2}, true, true);
}

// Every layer of every chunk before the next one: the weights are needed once.
TEST(LayerByLayer, AllChunksPassALayerBeforeTheNext) {
  ModelEngine model("tiny-qwen2");
  ProbeEngine probe(model.engine);
  std::vector<std::uint64_t> layers;
  probe.before_layer = [&](std::uint64_t layer, runtime::Batch) { layers.push_back(layer); };
  ScoreOptions options{.context = 300};
  options.layer_by_layer = LayerByLayer{};
  NoProgress progress;
  const auto tokens = tokens_of(4 * 300, model.engine.config().vocab);
  score_text(probe, {}, tokens, options, model.pool, progress, StopFlag{});
  EXPECT_TRUE(std::ranges::is_sorted(layers));
  EXPECT_EQ(layers.size(), model.engine.config().layers * 3);  // 1,200 rows in batches of 512
  EXPECT_EQ(probe.sessions, 0);
}

TEST(LayerByLayer, StopsBetweenBatchesAndLeavesNothing) {
  const test::TempFolder folder;
  ModelEngine model("tiny-qwen2");
  ProbeEngine probe(model.engine);
  StopFlag stop;
  probe.before_layer = [&](std::uint64_t layer, runtime::Batch) {
    if (layer == 1) stop.request();
  };
  ScoreOptions options{.context = 300};
  options.layer_by_layer = LayerByLayer{0, folder.path()};
  NoProgress progress;
  const auto tokens = tokens_of(4 * 300, model.engine.config().vocab);
  test::expect_error(ErrorCode::kInterrupted, "",
                     [&] { score_text(probe, {}, tokens, options, model.pool, progress, stop); });
  EXPECT_EQ(probe.sessions, 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace pajamas::eval
