// Tokens that MLX's device chooses, beside those that a Sampler chooses from the same logits.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "runtime/mlx/backend.h"
#include "runtime/model_engine.h"
#include "runtime/numbers.h"
#include "runtime/sampler.h"
#include "runtime/synthetic_model.h"

namespace pajamas::runtime {
namespace {

constexpr std::size_t kColumns = 48;  // as synthetic_config has
constexpr float kHuge = std::numeric_limits<float>::max();

// Column `kind` of the output matrix, which a hidden state that is nothing but this column's number
// makes the logits of; the largest floats become infinite on the way.
float logit_of(std::size_t kind, std::size_t token, Numbers& numbers) {
  const float normal = numbers.normals(1, 1)[0];
  const auto level = static_cast<float>(numbers.bits() % 5);
  switch (kind % 8) {
    case 0:
      return normal;
    case 1:
      return 4 * normal;
    case 2:
      return level - 2;  // many are equal
    case 3:
      return numbers.bits() % 3 == 0 ? level : -kHuge;
    case 4:
      return token == kind / 8 ? -1 : -kHuge;  // one candidate
    case 5:
      return level < 2 ? 0.0f : -0.0f;
    case 6:
      return kind == 6 ? -kHuge : kind == 14 && token == 0 ? kHuge : normal * 1e-3f;
    default:
      return 1;
  }
}

class ColumnWeights final : public weights::WeightStore {
 public:
  ColumnWeights(std::uint64_t vocab, bool damaged) : config_(synthetic_config()) {
    config_.vocab = vocab;
    gains_.assign(kColumns, 1);
    embedding_.assign(vocab * kColumns, 0);
    Numbers numbers(vocab);
    for (std::size_t token = 0; token < vocab; ++token) {
      for (std::size_t kind = 0; kind < kColumns; ++kind)
        embedding_[token * kColumns + kind] = logit_of(kind, token, numbers);
    }
    if (damaged) embedding_[3 * kColumns + 5] = std::numeric_limits<float>::quiet_NaN();
  }
  const model::ModelConfig& config() const noexcept override { return config_; }
  bool contains(model::TensorKey key) const noexcept override {
    return key.role == model::Role::kTokenEmbedding || key.role == model::Role::kOutputNorm;
  }
  using WeightStore::acquire;
  void acquire(std::span<const model::TensorKey> keys,
               std::vector<weights::WeightLease>& leases) const override {
    for (const model::TensorKey key : keys) {
      const auto& values = key.role == model::Role::kOutputNorm ? gains_ : embedding_;
      weights::WeightView view{{DType::kF32}, values.size() / kColumns, kColumns, {}};
      view.planes[0] = {std::as_bytes(std::span(values)), kColumns * sizeof(float), 0};
      leases.emplace_back(view);
    }
  }
  void prefetch(std::span<const model::TensorKey>) const noexcept override {}
  weights::Residency residency(model::TensorKey) const noexcept override {
    return weights::Residency::kResident;
  }

 private:
  model::ModelConfig config_;
  std::vector<float> gains_;
  std::vector<float> embedding_;  // and output matrix
};

class MlxChoice : public testing::Test {
 protected:
  void SetUp() override {
    if (!mlx_backend().available()) GTEST_SKIP() << mlx_backend().description();
  }
};

std::unique_ptr<Engine> engine_of(std::uint64_t vocab, bool damaged = false) {
  return mlx_backend().open_store(std::make_shared<ColumnWeights>(vocab, damaged), {});
}

// A row for each kind; what follows has no layers.
HiddenPtr columns(Engine& engine, std::span<const std::size_t> kinds) {
  std::vector<BatchRow> rows;
  std::vector<float> values(kinds.size() * kColumns);
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    rows.push_back({0, static_cast<std::uint32_t>(i), 0, true});
    values[i * kColumns + kinds[i]] = 1;
  }
  return engine.restore(rows, values);
}

// Nothing where the sampler throws; with what it says.
std::optional<std::int32_t> sampled(Sampler& sampler, std::span<const float> logits,
                                    std::string& problem) {
  try {
    return sampler.sample(logits);
  } catch (const Error& error) {
    problem = error.problem();
    return std::nullopt;
  }
}

// How often a token was drawn that the sampler does not draw, of all rows of all calls: each call
// has a row for each kind of logits, all by the rules of one kind or by those that take turns.
int wrong_choices(Engine& engine, std::span<const SamplerOptions> options) {
  const std::size_t vocab = engine.config().vocab;
  std::vector<std::size_t> kinds;
  for (std::size_t kind = 0; kind < kColumns; ++kind) kinds.push_back(kind);
  const HiddenPtr hidden = columns(engine, kinds);
  const std::vector<float> logits = all_logits(engine, *hidden);
  int wrong = 0;
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    std::vector<Sampler> samplers;
    std::vector<ChoiceRule> rules;
    for (const std::size_t kind : kinds) {
      SamplerOptions own = options[kind % options.size()];
      own.seed = seed * kColumns + kind;
      samplers.emplace_back(own);
      rules.push_back(*samplers.back().rule(0));
    }
    std::vector<std::int32_t> chosen(kColumns);
    engine.choose(*hidden, rules)->read(chosen);
    for (const std::size_t kind : kinds) {
      Sampler by_rule = samplers[kind];
      const std::optional<ChoiceRule> after = by_rule.rule(1);
      std::string problem, taken_problem;
      const auto expected =
          sampled(samplers[kind], std::span(logits).subspan(kind * vocab, vocab), problem);
      std::optional<std::int32_t> taken;
      try {
        taken = by_rule.take(chosen[kind]);
      } catch (const Error& error) {
        taken_problem = error.problem();
      }
      EXPECT_EQ(taken_problem, problem) << kind;
      if (taken != expected) ++wrong;
      // The next random number is the same on both ways.
      if (expected && rules[kind].temperature > 0) {
        EXPECT_EQ(samplers[kind].rule(0)->uniform, after->uniform);
        EXPECT_EQ(by_rule.rule(0)->uniform, after->uniform);
      }
    }
  }
  return wrong;
}

TEST_F(MlxChoice, IsTheSamplersForEveryRule) {
  const SamplerOptions greedy{.temperature = 0};
  const SamplerOptions plain{.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0};
  SamplerOptions top_k = plain, wide = plain, top_p = plain, min_p = plain, cold = plain,
                 hot = plain;
  top_k.top_k = 3;
  wide.top_k = 1'000'000'000'000;
  top_p.top_p = .6;
  min_p.min_p = .2;
  cold.temperature = 1e-300;
  hot.temperature = 1e300;
  const std::map<std::string, std::vector<SamplerOptions>> cases{
      {"greedy", {greedy}},
      {"plain", {plain}},
      {"top-k", {top_k}},
      {"wide top-k", {wide}},
      {"top-p", {top_p}},
      {"min-p", {min_p}},
      {"cold", {cold}},
      {"hot", {hot}},
      {"usual", {SamplerOptions{}}},
      {"mixed", {greedy, top_k, plain, top_p, min_p, SamplerOptions{}, wide}}};
  for (const std::uint64_t vocab : {1, 5, 300}) {
    const auto engine = engine_of(vocab);
    ASSERT_TRUE(engine->chooses());
    for (const auto& [name, options] : cases)
      EXPECT_EQ(wrong_choices(*engine, options), 0) << name << " of " << vocab;
  }
}

// One logit of all is no number.
TEST_F(MlxChoice, OneDamagedLogitIsFound) {
  const auto engine = engine_of(300, true);
  const HiddenPtr hidden = columns(*engine, std::vector<std::size_t>{0, 5});
  for (const double temperature : {0.0, 1.0}) {
    std::vector<std::int32_t> chosen(2);
    engine->choose(*hidden, std::vector<ChoiceRule>(2, {.temperature = temperature}))->read(chosen);
    EXPECT_EQ(chosen, (std::vector<std::int32_t>(2, kLogitsNotNumbers)));
  }
}

// A batch of tokens that nobody has read is that of the tokens; of what is no token, any.
TEST_F(MlxChoice, UnreadTokensAreLookedUp) {
  const auto engine = engine_of(300);
  const HiddenPtr hidden = columns(*engine, std::vector<std::size_t>{0, 1, 6, 7});
  const auto chosen = engine->choose(*hidden, std::vector<ChoiceRule>(4));
  const std::vector<BatchRow> rows{
      {0, 0, 1, true}, {0, 1, 0, true}, {0, 2, 3, true}, {0, 3, 2, true}};
  const std::vector<float> values = values_of(*engine->embed_chosen(rows, *chosen));
  std::vector<std::int32_t> tokens(4);
  chosen->read(tokens);
  EXPECT_EQ(tokens[2], kLogitsInfinite);
  std::vector<BatchRow> known = rows;
  for (BatchRow& row : known) row.token = tokens[static_cast<std::size_t>(row.token)];
  known.pop_back();
  const std::vector<float> expected = values_of(*engine->embed(known));
  ASSERT_EQ(values.size(), 4 * kColumns);
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), values.begin()));
}

}  // namespace
}  // namespace pajamas::runtime
