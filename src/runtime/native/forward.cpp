// The forward pass: which operations make a layer, and what makes logits.
#include <array>
#include <numeric>
#include <span>
#include <vector>

#include "base/error.h"
#include "runtime/native/engine.h"
#include "runtime/native/mixture.h"

namespace pajamas::runtime {

using model::Role;
using model::TensorKey;

void NativeEngine::project(FloatView x, std::initializer_list<Projection> products,
                           LinearTap* tap) {
  if (tap != nullptr) tap_reader_.show(*tap, products, x, std::span(numbers_).first(x.rows));
  device_->linear(x, products);
}

void NativeEngine::attention(int layer, const NativeHidden& hidden, LinearTap* tap) {
  const AttentionWork work = work_.attention(hidden.rows());
  device_->norm({Role::kAttnNorm, layer}, hidden.values(), work.x);
  project(work.x,
          {{{Role::kAttnQ, layer}, Role::kAttnQBias, work.queries},
           {{Role::kAttnK, layer}, Role::kAttnKBias, work.keys},
           {{Role::kAttnV, layer}, Role::kAttnVBias, work.values}},
          tap);
  keep(layer, hidden, work);
  attend(layer, hidden, work, tap);
}

void NativeEngine::attention_keys(int layer, const NativeHidden& hidden) {
  const AttentionWork work = work_.attention(hidden.rows());
  device_->norm({Role::kAttnNorm, layer}, hidden.values(), work.x);
  project(work.x,
          {{{Role::kAttnK, layer}, Role::kAttnKBias, work.keys},
           {{Role::kAttnV, layer}, Role::kAttnVBias, work.values}},
          nullptr);
  keep(layer, hidden, work);
}

void NativeEngine::attention_queries(int layer, const NativeHidden& hidden) {
  const AttentionWork work = work_.attention(hidden.rows());
  device_->norm({Role::kAttnNorm, layer}, hidden.values(), work.x);
  project(work.x, {{{Role::kAttnQ, layer}, Role::kAttnQBias, work.queries}}, nullptr);
  attend(layer, hidden, work, nullptr);
}

void NativeEngine::keep(int layer, const NativeHidden& hidden, const AttentionWork& work) {
  device_->rotate({Role::kAttnKNorm, layer}, hidden.rotation(), work.keys);
  device_->store(layer, runs_, work.keys, work.values);
}

void NativeEngine::attend(int layer, const NativeHidden& hidden, const AttentionWork& work,
                          LinearTap* tap) {
  device_->rotate({Role::kAttnQNorm, layer}, hidden.rotation(), work.queries);
  device_->attend(layer, runs_, work.queries, work.mixed);
  project(work.mixed, {{{Role::kAttnOutput, layer}, Role::kAttnOutputBias, work.update}}, tap);
  device_->add(work.update, hidden.values());
}

void NativeEngine::feed_forward(int layer, const NativeHidden& hidden, LinearTap* tap) {
  const TensorKey norm{Role::kFfnNorm, layer};
  if (config().is_sparse(static_cast<std::uint64_t>(layer))) {
    const ExpertWork work = work_.experts(hidden.rows());
    device_->norm(norm, hidden.values(), work.x);
    project(work.x, {{{Role::kRouter, layer}, Role::kRouterBias, work.scores}}, tap);
    mix_experts(*device_, layer, work, tap, tap_reader_);
    device_->add(work.update, hidden.values());
    return;
  }
  const FeedForwardWork work = work_.feed_forward(hidden.rows());
  const TensorKey down{Role::kFfnDown, layer};
  device_->norm(norm, hidden.values(), work.x);
  device_->prefetch({&down, 1});
  project(work.x, {{{Role::kFfnGate, layer}, {}, work.gate}, {{Role::kFfnUp, layer}, {}, work.up}},
          tap);
  device_->activate(work.gate, work.up);
  project(work.gate, {{down, {}, work.update}}, tap);
  device_->add(work.update, hidden.values());
}

FloatView NativeEngine::for_output(const Hidden& hidden, std::span<const std::size_t> rows) {
  const NativeHidden& from = own(hidden);
  PJ_CHECK(rows.size() <= kMaxBatch);
  const FloatView x = work_.output(rows.size());
  device_->take(from.values(), rows, x);
  device_->norm({Role::kOutputNorm}, x, x);
  return x;
}

TensorKey NativeEngine::output_matrix() const noexcept {
  const TensorKey own_matrix{Role::kOutput};
  return device_->has(own_matrix) ? own_matrix : TensorKey{Role::kTokenEmbedding};
}

ChosenPtr NativeEngine::choose(const Hidden& hidden, std::span<const ChoiceRule> rules) {
  PJ_CHECK(rules.size() == hidden.rows());
  std::vector<std::size_t> rows(rules.size());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  return device_->choose(output_matrix(), for_output(hidden, rows), rules);
}

void NativeEngine::logits(const Hidden& hidden, std::span<const std::size_t> rows,
                          std::span<float> out, LinearTap* tap) {
  PJ_CHECK(out.size() == rows.size() * config().vocab);
  const FloatView x = for_output(hidden, rows);
  const TensorKey output = output_matrix();
  if (tap != nullptr) {
    const std::vector<std::uint32_t> numbers(rows.begin(), rows.end());
    const Projection product{output, {}, {}};
    tap_reader_.show(*tap, {&product, 1}, x, numbers);
  }
  device_->logits(output, x, out);
}

}  // namespace pajamas::runtime
