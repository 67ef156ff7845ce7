#include "calibrate/collect.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "calibrate/input_squares.h"
#include "calibrate/own_text.h"
#include "io/temp.h"
#include "model/text_assets.h"
#include "runtime/model_engine.h"
#include "runtime/probe_engine.h"
#include "runtime/text_chunks.h"

namespace pajamas::calibrate {
namespace {

using model::Role;
using runtime::ModelEngine;

std::vector<std::int32_t> tokens(std::size_t count, std::size_t vocab) {
  std::vector<std::int32_t> out;
  for (const runtime::BatchRow& row :
       runtime::rows_of_text(0, 3, vocab, 0, static_cast<std::uint32_t>(count))) {
    out.push_back(row.token);
  }
  return out;
}

struct Subject : ModelEngine {
  explicit Subject(const std::string& name)
      : ModelEngine(name),
        text(model::load_text_assets(source_dir() + "/models/" + name), engine.config().vocab) {}
  Collected run(std::span<const std::int32_t> ids, const CollectOptions& options) {
    NoProgress progress;
    return collect(engine, text, ids, options, progress, StopFlag{});
  }
  model::TextModel text;
};

const io::ImatrixEntry& entry(const Collected& result, std::string_view name) {
  const auto at = std::ranges::find(result.matrix.entries, name, &io::ImatrixEntry::name);
  if (at == result.matrix.entries.end()) throw Error(ErrorCode::kInternal, std::string(name));
  return *at;
}

// Against the inputs that a tap sees of the same chunks one by one.
class Plain final : public runtime::LinearTap {
 public:
  void input(std::span<const model::TensorKey> matrices, runtime::Rows x,
             std::span<const std::uint32_t>) override {
    for (const model::TensorKey& key : matrices) {
      std::vector<double>& to = sums[key];
      to.resize(x.values.size() / x.count);
      for (std::size_t i = 0; i < x.values.size(); ++i) {
        to[i % to.size()] += static_cast<double>(x.values[i]) * static_cast<double>(x.values[i]);
      }
      counts[key] += static_cast<double>(x.count);
    }
  }
  std::map<model::TensorKey, std::vector<double>> sums;
  std::map<model::TensorKey, double> counts;
};

TEST(Collect, SumsAreThoseOfEveryRow) {
  Subject model("tiny-qwen3-moe");
  const auto ids = tokens(3 * 64 + 10, model.engine.config().vocab);
  const Collected result = model.run(ids, {.context = 64, .output_matrix = false});
  EXPECT_EQ(result.matrix.chunks, 3u);
  EXPECT_EQ(result.matrix.chunk_size, 64u);

  Plain plain;
  for (std::uint32_t c = 0; c < 3; ++c) {
    const runtime::SessionId session = model.engine.create_session();
    std::vector<runtime::BatchRow> rows;
    for (std::uint32_t p = 0; p < 64; ++p) rows.push_back({session, p, ids[c * 64 + p], false});
    const auto hidden = model.engine.embed(rows);
    for (std::uint64_t i = 0; i < model.engine.config().layers; ++i) {
      model.engine.layer(i, *hidden, rows, &plain);
    }
  }
  for (const model::TensorSpec& spec : model::tensors_of(model.engine.config())) {
    if (!spec.is_matrix || spec.key.layer < 0) continue;
    const io::ImatrixEntry& found = entry(result, spec.gguf);
    for (std::size_t e = 0; e < found.counts.size(); ++e) {
      model::TensorKey key = spec.key;
      if (spec.is_stack()) key.expert = static_cast<int>(e);
      ASSERT_EQ(found.counts[e], plain.counts[key]) << spec.gguf << e;
      if (found.counts[e] == 0) continue;
      const auto& expected = plain.sums.at(key);
      ASSERT_EQ(found.columns, expected.size());
      for (std::size_t j = 0; j < expected.size(); ++j) {
        ASSERT_NEAR(found.sums[e * found.columns + j], expected[j], 1e-9 * (1 + expected[j]))
            << spec.gguf;
      }
    }
  }
  EXPECT_THROW(entry(result, "output.weight"), Error);
}

// Nor on where the activations wait.
TEST(Collect, NothingDependsOnHowTheTextIsCutIntoBatches) {
  const test::TempFolder folder;
  Subject model("tiny-qwen3-moe");
  const auto ids = tokens(4 * 48, model.engine.config().vocab);
  const CollectOptions options{.context = 48, .activation_bytes = 1 << 30};
  const Collected whole = model.run(ids, options);
  runtime::ProbeEngine small(model.engine);
  small.most = 37;
  NoProgress progress;
  CollectOptions on_disk = options;
  on_disk.activation_bytes = 0;
  on_disk.scratch = folder.path();
  const Collected cut = collect(small, model.text, ids, on_disk, progress, StopFlag{});
  EXPECT_EQ(whole.matrix.entries, cut.matrix.entries);
  EXPECT_EQ(small.sessions, 0);
}

TEST(Collect, TheOutputMatrixOnRequest) {
  Subject model("tiny-qwen3-moe");
  ASSERT_FALSE(model.engine.config().tied_output);
  const auto ids = tokens(80, model.engine.config().vocab);
  const Collected result = model.run(ids, {.context = 80, .output_matrix = true});
  const io::ImatrixEntry& output = entry(result, "output.weight");
  EXPECT_EQ(output.counts, std::vector<float>{80});
  EXPECT_GT(std::accumulate(output.sums.begin(), output.sums.end(), 0.0), 0);
  EXPECT_EQ(result.matrix.entries.size(), empty_matrix(model.engine.config(), true).entries.size());
}

TEST(Collect, ChunksAreThoseAskedFor) {
  Subject model("tiny-qwen2");
  const auto ids = tokens(100, model.engine.config().vocab);
  EXPECT_EQ(model.run(ids, {.context = 20, .chunks = 2}).matrix.chunks, 2u);
  EXPECT_EQ(model.run(ids, {.context = 20, .chunks = 9}).matrix.chunks, 5u);
  test::expect_error(ErrorCode::kUsage, "100 tokens; a chunk has 101",
                     [&] { model.run(ids, {.context = 101}); });
  test::expect_error(ErrorCode::kUsage, "0 tokens", [&] { model.run({}, {.context = 20}); });
  // A model without experts has nothing to write text for.
  test::expect_error(ErrorCode::kUsage, "0 tokens",
                     [&] { model.run({}, {.context = 20, .balance = true}); });
  EXPECT_TRUE(model.run(ids, {.context = 20}).coverage.empty());
}

TEST(Collect, GoesOnUntilEveryExpertHasItsFloor) {
  Subject model("tiny-qwen3-moe");
  const std::uint64_t vocab = model.engine.config().vocab;
  const auto ids = tokens(4 * 32, vocab);
  CollectOptions options{.context = 32, .chunks = 1, .expert_floor = 40};
  const Collected plain = model.run(ids, options);
  EXPECT_GT(plain.experts_below(), 0u);
  EXPECT_EQ(plain.own_chunks, 0u);
  options.balance = true;
  const Collected balanced = model.run(ids, options);
  EXPECT_EQ(balanced.experts_below(), 0u);
  EXPECT_GT(balanced.own_chunks, 0u);
  EXPECT_EQ(balanced.matrix.chunks, 4 + balanced.own_chunks);  // the rest of the text first
  ASSERT_EQ(balanced.coverage.size(), model.engine.config().layers);
  for (const LayerCoverage& layer : balanced.coverage) {
    EXPECT_GE(layer.least, 40u);
    EXPECT_LE(layer.least, layer.median);
    EXPECT_LE(layer.median, layer.most);
  }
  // Nothing but its own text, and again the same.
  const Collected own = model.run({}, options), again = model.run({}, options);
  EXPECT_EQ(own.matrix.chunks, own.own_chunks);
  EXPECT_EQ(own.matrix.entries, again.matrix.entries);
  // A floor out of reach: what was allowed was written, and those that lack are named.
  options.own_chunks = 3;
  options.expert_floor = 1 << 20;
  const Collected bounded = model.run({}, options);
  EXPECT_EQ(bounded.own_chunks, 3u);
  EXPECT_EQ(bounded.coverage[0].below.size(), model.engine.config().experts);
}

TEST(OwnText, HasWholeChunksThatDiffer) {
  Subject model("tiny-qwen3-moe");
  NoProgress progress;
  runtime::ProbeEngine engine(model.engine);
  OwnText one(engine, model.text, 24, 2, 5);
  const auto chunks = one.write(3, progress, StopFlag{});
  ASSERT_EQ(chunks.size(), 3u);
  for (const runtime::Chunk& chunk : chunks) EXPECT_EQ(chunk.size(), 24u);
  EXPECT_NE(chunks[0], chunks[1]);
  EXPECT_NE(chunks[0], chunks[2]);
  OwnText other(engine, model.text, 24, 2, 6);
  EXPECT_NE(other.write(1, progress, StopFlag{})[0], chunks[0]);
  EXPECT_EQ(engine.sessions, 0);
}

TEST(Collect, StopsBetweenBatches) {
  Subject model("tiny-qwen2");
  StopFlag stop;
  stop.request();
  NoProgress progress;
  const auto ids = tokens(100, model.engine.config().vocab);
  test::expect_error(ErrorCode::kInterrupted, "", [&] {
    collect(model.engine, model.text, ids, {.context = 20}, progress, stop);
  });
}

}  // namespace
}  // namespace pajamas::calibrate
