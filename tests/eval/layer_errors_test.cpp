// Errors of layers and agreement of routers, against models that run layer after layer by hand.
#include "eval/layer_errors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "eval/perplexity.h"
#include "runtime/model_engine.h"

namespace pajamas::eval {
namespace {

using runtime::KvType;
using runtime::ModelEngine;

constexpr std::uint32_t kContext = 200;
constexpr std::uint64_t kChunks = 4;  // 800 rows: a batch ends inside a chunk

std::vector<std::int32_t> judged_tokens(std::uint64_t vocab) {
  std::vector<std::int32_t> out;
  for (const runtime::BatchRow& row :
       runtime::rows_of_text(0, 21, vocab, 0, kContext * static_cast<std::uint32_t>(kChunks))) {
    out.push_back(row.token);
  }
  return out;
}

std::vector<LayerError> compared(ModelEngine& model, ModelEngine& reference) {
  LayerErrors errors;
  ScoreAgainst against;
  against.reference = &reference.engine;
  against.layers = &errors;
  ScoreOptions options{.context = kContext};
  options.layer_by_layer = LayerByLayer{};
  NoProgress progress;
  const auto tokens = judged_tokens(model.engine.config().vocab);
  score_text(model.engine, against, tokens, options, model.pool, progress, StopFlag{});
  return {errors.layers().begin(), errors.layers().end()};
}

// Which experts a chunk's rows were sent to, by what enters the last of their products.
class Sent final : public runtime::LinearTap {
 public:
  void input(std::span<const model::TensorKey> matrices, runtime::Rows,
             std::span<const std::uint32_t> rows) override {
    for (const model::TensorKey& key : matrices) {
      if (key.role != model::Role::kExpertDown) continue;
      for (const std::uint32_t row : rows) experts[row].insert(key.expert);
    }
  }
  std::map<std::uint32_t, std::set<int>> experts;
};

struct OfLayer {
  std::vector<float> outputs;
  std::vector<std::set<int>> experts;  // of each row
};

// All chunks, one by one.
std::vector<OfLayer> by_hand(ModelEngine& model) {
  runtime::Engine& engine = model.engine;
  const auto tokens = judged_tokens(engine.config().vocab);
  std::vector<OfLayer> layers(engine.config().layers);
  for (std::uint64_t c = 0; c < kChunks; ++c) {
    const runtime::SessionId session = engine.create_session();
    std::vector<runtime::BatchRow> rows;
    for (std::uint32_t p = 0; p < kContext; ++p) {
      rows.push_back({session, p, tokens[c * kContext + p], false});
    }
    const auto hidden = engine.embed(rows);
    for (std::uint64_t i = 0; i < layers.size(); ++i) {
      Sent sent;
      engine.layer(i, *hidden, rows, &sent);
      const std::vector<float> values = runtime::values_of(*hidden);
      layers[i].outputs.insert(layers[i].outputs.end(), values.begin(), values.end());
      for (const auto& [row, experts] : sent.experts) layers[i].experts.push_back(experts);
    }
    engine.release(session);
  }
  return layers;
}

class ErrorsOf : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(LayerErrors, ErrorsOf,
                         testing::Values("tiny-qwen2", "tiny-qwen3-moe", "tiny-gpt-oss"),
                         [](const auto& model) {
                           std::string name = model.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST_P(ErrorsOf, AreThoseOfModelsThatRunByHand) {
  // A cache of four bits changes every layer behind the first attention.
  ModelEngine model(GetParam(), runtime::Activations::kFloat, KvType::kQ4_0), reference(GetParam());
  const auto found = compared(model, reference);
  const auto ours = by_hand(model), theirs = by_hand(reference);
  ASSERT_EQ(found.size(), ours.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    double difference = 0, total = 0;
    for (std::size_t k = 0; k < ours[i].outputs.size(); ++k) {
      difference += std::pow(static_cast<double>(ours[i].outputs[k]) - theirs[i].outputs[k], 2);
      total += std::pow(static_cast<double>(theirs[i].outputs[k]), 2);
    }
    ASSERT_GT(difference, 0);
    EXPECT_NEAR(found[i].error, std::sqrt(difference / total), 1e-9) << i;
    const std::uint64_t experts = reference.engine.config().experts;
    ASSERT_EQ(found[i].load.size(), experts);
    if (experts == 0) continue;
    std::size_t same = 0, all = 0;
    std::vector<double> load(experts), reference_load(experts);
    for (std::size_t row = 0; row < ours[i].experts.size(); ++row) {
      for (const int e : theirs[i].experts[row]) same += ours[i].experts[row].count(e);
      all += theirs[i].experts[row].size();
      for (const int e : ours[i].experts[row]) ++load[static_cast<std::size_t>(e)];
      for (const int e : theirs[i].experts[row]) ++reference_load[static_cast<std::size_t>(e)];
    }
    ASSERT_EQ(all, kContext * kChunks * reference.engine.config().experts_used);
    EXPECT_DOUBLE_EQ(found[i].same_experts, static_cast<double>(same) / static_cast<double>(all));
    for (std::size_t e = 0; e < experts; ++e) {
      EXPECT_DOUBLE_EQ(found[i].load[e], load[e] / static_cast<double>(all));
      EXPECT_DOUBLE_EQ(found[i].reference_load[e], reference_load[e] / static_cast<double>(all));
    }
  }
  if (reference.engine.config().experts > 0) {
    EXPECT_LT(found.back().same_experts, 1);
    EXPECT_NE(found.back().load, found.back().reference_load);
  }
}

TEST_P(ErrorsOf, AModelAgainstItselfHasNone) {
  ModelEngine model(GetParam()), other(GetParam());
  for (const LayerError& layer : compared(model, other)) {
    EXPECT_EQ(layer.error, 0);
    if (layer.load.empty()) continue;
    EXPECT_EQ(layer.same_experts, 1);
    EXPECT_EQ(layer.load, layer.reference_load);
  }
}

}  // namespace
}  // namespace pajamas::eval
