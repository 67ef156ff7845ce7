// What a tap is told against products computed from it.
#include "runtime/tap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "runtime/model_engine.h"
#include "runtime/native/cpu/experts.h"
#include "runtime/native/cpu/linear.h"

namespace pajamas::runtime {
namespace {

using model::Role;
using model::TensorKey;

class Recorder final : public LinearTap {
 public:
  struct Input {
    std::vector<TensorKey> matrices;
    std::vector<float> x;
    std::vector<std::uint32_t> rows;
  };
  void input(std::span<const TensorKey> matrices, Rows x,
             std::span<const std::uint32_t> rows) override {
    ASSERT_EQ(rows.size(), x.count);
    inputs.push_back({{matrices.begin(), matrices.end()},
                      {x.values.begin(), x.values.end()},
                      {rows.begin(), rows.end()}});
  }
  const Input& of(TensorKey key) const {
    const Input* found = nullptr;
    for (const Input& input : inputs) {
      if (std::ranges::find(input.matrices, key) == input.matrices.end()) continue;
      EXPECT_EQ(found, nullptr) << "told twice";
      found = &input;
    }
    if (found == nullptr) throw Error(ErrorCode::kInternal, "not told");
    return *found;
  }

  std::vector<Input> inputs;
};

class Taps : public testing::TestWithParam<const char*> {
 protected:
  Taps() : model_(GetParam()), processor_{kernels::best_kernels(), model_.pool} {}

  std::vector<float> product(TensorKey key, const Recorder::Input& input) const {
    const weights::WeightLease lease = model_.store->acquire(key);
    std::vector<float> out(input.rows.size() * lease.view().rows);
    linear(processor_, lease.view(), {input.x, input.rows.size()}, out);
    return out;
  }
  void add_expert_bias(TensorKey key, std::vector<float>& values) const {
    if (!model_.store->contains(key)) return;
    const weights::WeightLease lease = model_.store->acquire(key);
    std::vector<float> bias(lease.view().cols);
    decode_row(processor_.kernels, lease.view(), 0, bias);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] += bias[i % bias.size()];
  }
  // The input of `down` follows from that of gate and up.
  void expect_down(const Recorder& tap, TensorKey gate, TensorKey up, TensorKey down) const {
    const Recorder::Input& in = tap.of(gate);
    ASSERT_EQ(in.matrices, (std::vector{gate, up}));
    std::vector<float> g = product(gate, in), u = product(up, in);
    add_expert_bias({Role::kExpertGateBias, gate.layer, gate.expert}, g);
    add_expert_bias({Role::kExpertUpBias, up.layer, up.expert}, u);
    activate(processor_, model_.engine.config(), g, u);
    EXPECT_EQ(tap.of(down).x, g);
    EXPECT_EQ(tap.of(down).rows, in.rows);
  }

  ModelEngine model_;
  Processor processor_;
};
INSTANTIATE_TEST_SUITE_P(LinearTap, Taps,
                         testing::Values("tiny-qwen2", "tiny-qwen3-moe", "tiny-gpt-oss"),
                         [](const auto& model) {
                           std::string name = model.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST_P(Taps, SeeTheInputOfEveryProductOnce) {
  Engine& engine = model_.engine;
  const model::ModelConfig& config = engine.config();
  constexpr std::uint32_t kRows = 13;
  const SessionId plain = engine.create_session(), session = engine.create_session();
  const auto expected =
      values_of(*run_layers(engine, rows_of_text(plain, 3, config.vocab, 0, kRows), StopFlag{}));
  const auto rows = rows_of_text(session, 3, config.vocab, 0, kRows);
  std::vector<std::uint32_t> all(kRows);
  for (std::uint32_t i = 0; i < kRows; ++i) all[i] = i;

  const auto hidden = engine.embed(rows);
  for (int i = 0; i < static_cast<int>(config.layers); ++i) {
    Recorder tap;
    engine.layer(static_cast<std::uint64_t>(i), *hidden, rows, &tap);
    const Recorder::Input& qkv = tap.of({Role::kAttnQ, i});
    EXPECT_EQ(qkv.matrices,
              (std::vector<TensorKey>{{Role::kAttnQ, i}, {Role::kAttnK, i}, {Role::kAttnV, i}}));
    EXPECT_EQ(qkv.rows, all);
    EXPECT_EQ(tap.of({Role::kAttnOutput, i}).rows, all);
    EXPECT_EQ(tap.of({Role::kAttnOutput, i}).x.size(), kRows * config.q_rows());
    if (!config.is_sparse(static_cast<std::uint64_t>(i))) {
      EXPECT_EQ(tap.inputs.size(), 4u);
      EXPECT_EQ(tap.of({Role::kFfnGate, i}).rows, all);
      expect_down(tap, {Role::kFfnGate, i}, {Role::kFfnUp, i}, {Role::kFfnDown, i});
      continue;
    }
    const Recorder::Input& router = tap.of({Role::kRouter, i});
    EXPECT_EQ(router.rows, all);
    std::map<std::uint32_t, std::size_t> used;
    int before = -1;
    for (const Recorder::Input& input : tap.inputs) {
      const TensorKey key = input.matrices.front();
      if (key.role != Role::kExpertGate) continue;
      EXPECT_GT(key.expert, before);
      before = key.expert;
      EXPECT_TRUE(std::ranges::is_sorted(input.rows));
      for (std::size_t r = 0; r < input.rows.size(); ++r) {
        ++used[input.rows[r]];
        const std::size_t width = config.hidden;
        EXPECT_TRUE(std::ranges::equal(std::span(input.x).subspan(r * width, width),
                                       std::span(router.x).subspan(input.rows[r] * width, width)));
      }
      expect_down(tap, key, {Role::kExpertUp, i, key.expert}, {Role::kExpertDown, i, key.expert});
    }
    EXPECT_EQ(used.size(), kRows);
    for (const auto& [row, count] : used) EXPECT_EQ(count, config.experts_used) << row;
  }
  EXPECT_EQ(values_of(*hidden), expected);  // watching changes nothing

  Recorder tap;
  const std::vector<std::size_t> chosen{12, 4};
  std::vector<float> logits(chosen.size() * config.vocab);
  engine.logits(*hidden, chosen, logits, &tap);
  ASSERT_EQ(tap.inputs.size(), 1u);
  EXPECT_EQ(tap.inputs[0].rows, (std::vector<std::uint32_t>{12, 4}));
  EXPECT_EQ(product(tap.inputs[0].matrices[0], tap.inputs[0]), logits);
}

}  // namespace
}  // namespace pajamas::runtime
