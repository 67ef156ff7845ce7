#include "runtime/mlx/plugin/choice.h"

#include <mlx/ops.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace pajamas::runtime {

namespace mx = mlx::core;

namespace {

constexpr std::int64_t kLow32 = 0xffffffff;

// A number of each rule, as a column [n][1].
template <class F>
mx::array column(std::span<const ChoiceRule> rules, mx::Dtype type, const F& number) {
  std::vector<double> numbers;
  for (const ChoiceRule& rule : rules) numbers.push_back(static_cast<double>(number(rule)));
  const mx::Shape shape{static_cast<int>(rules.size()), 1};
  if (type == mx::float64) return mx::array(numbers.data(), shape, mx::float64);
  const std::vector<float> narrow(numbers.begin(), numbers.end());
  return mx::astype(mx::array(narrow.data(), shape, mx::float32), type);
}

// The tokens of the `count` largest logits, the largest first and the smaller id of two that are
// equal: [n][count]. A logit's bits and a token make one number, so that no two are equal.
mx::array likeliest(const mx::array& logits, int count) {
  const int vocab = logits.shape(1);
  const mx::array zero(0.0f);
  const mx::array bits =
      mx::view(mx::where(mx::equal(logits, zero), zero, logits), mx::int32);  // one zero of two
  const mx::array none(0, mx::int32);
  // Less for larger logits: a negative float's bits grow as it falls.
  const mx::array falling =
      mx::where(mx::less(bits, none), mx::bitwise_and(bits, mx::array(0x7fffffff, mx::int32)),
                mx::subtract(mx::array(-1, mx::int32), bits));
  mx::array keys =
      mx::add(mx::multiply(mx::astype(falling, mx::int64), mx::array(kLow32 + 1, mx::int64)),
              mx::expand_dims(mx::arange(0, vocab, 1, mx::int64), 0));
  if (count < vocab) {
    keys = mx::slice(mx::partition(keys, count - 1, 1), {0, 0}, {logits.shape(0), count});
  }
  return mx::astype(mx::bitwise_and(mx::sort(keys, 1), mx::array(kLow32, mx::int64)), mx::uint32);
}

// What is drawn from sorted candidates: [n][1] tokens.
mx::array drawn(const mx::array& logits, std::span<const ChoiceRule> rules, mx::Dtype type) {
  const std::int64_t vocab = logits.shape(1);
  const auto count_of = [&](const ChoiceRule& rule) {
    return rule.top_k == 0 ? vocab : std::min(rule.top_k, vocab);
  };
  std::int64_t most = 1;
  for (const ChoiceRule& rule : rules) {
    if (rule.temperature > 0) most = std::max(most, count_of(rule));
  }
  const int count = static_cast<int>(most);
  const mx::array tokens = likeliest(logits, count);
  const mx::array sorted = mx::astype(mx::take_along_axis(logits, tokens, 1), type);
  const mx::array below = mx::subtract(sorted, mx::slice(sorted, {0, 0}, {sorted.shape(0), 1}));
  const mx::array nothing = mx::zeros_like(below);

  const mx::array place = mx::expand_dims(mx::arange(0, count, 1, mx::int32), 0);
  mx::array kept = mx::less(place, mx::astype(column(rules, mx::float32, count_of), mx::int32));
  const auto narrows = [](const ChoiceRule& rule) {
    return rule.temperature > 0 && (rule.top_p < 1 || rule.min_p > 0);
  };
  if (std::ranges::any_of(rules, narrows)) {
    // As many as reach the share of the sum; of a share of 1, all.
    const mx::array weights = mx::where(kept, mx::exp(below), nothing);
    const mx::array share = column(
        rules, type, [](const ChoiceRule& rule) { return rule.top_p < 1 ? rule.top_p : 2.0; });
    const mx::array before = mx::cumsum(weights, 1, false, false);
    const auto last = [&](const mx::array& of) {
      return mx::slice(of, {0, count - 1}, {of.shape(0), count});
    };
    const mx::array all = mx::add(last(before), last(weights));
    kept = mx::logical_and(kept, mx::less(before, mx::multiply(share, all)));
    kept = mx::logical_and(
        kept, mx::greater_equal(
                  weights, column(rules, type, [](const ChoiceRule& rule) { return rule.min_p; })));
  }
  // Neither 0 nor infinite as a float, for the likeliest is 0 below itself and others may be
  // infinitely so.
  const mx::array temperature = column(rules, type, [](const ChoiceRule& rule) {
    using Limits = std::numeric_limits<float>;
    return std::clamp(rule.temperature, double{Limits::min()}, double{Limits::max()});
  });
  const mx::array weights = mx::where(kept, mx::exp(mx::divide(below, temperature)), nothing);
  const mx::array reached = mx::cumsum(weights, 1);
  const mx::array sum = mx::slice(reached, {0, count - 1}, {reached.shape(0), count});
  const mx::array target = mx::multiply(
      sum, column(rules, type, [&](const ChoiceRule& rule) {
        return type == mx::float64 ? rule.uniform : std::min(rule.uniform, 1 - 0x1p-24);
      }));
  const mx::array passed = mx::sum(mx::astype(mx::less_equal(reached, target), mx::int32), 1, true);
  const mx::array at =
      mx::where(mx::less(passed, mx::array(count, mx::int32)), passed, mx::array(0, mx::int32));
  return mx::take_along_axis(tokens, at, 1);
}

}  // namespace

mx::array choice_of(const mx::array& logits, std::span<const ChoiceRule> rules, mx::Dtype type) {
  const bool some_drawn =
      std::ranges::any_of(rules, [](const ChoiceRule& rule) { return rule.temperature > 0; });
  const bool all_drawn =
      std::ranges::all_of(rules, [](const ChoiceRule& rule) { return rule.temperature > 0; });
  mx::array tokens = mx::argmax(logits, 1, true);
  if (all_drawn) {
    tokens = drawn(logits, rules, type);
  } else if (some_drawn) {
    const mx::array draws =
        mx::greater(column(rules, mx::float32,
                           [](const ChoiceRule& rule) { return rule.temperature > 0 ? 1 : 0; }),
                    mx::array(0.0f));
    tokens = mx::where(draws, drawn(logits, rules, type), tokens);
  }
  const mx::array finite =
      mx::where(mx::isfinite(mx::max(logits, 1, true)), mx::astype(tokens, mx::int32),
                mx::array(kLogitsInfinite, mx::int32));
  return mx::flatten(mx::where(mx::any(mx::isnan(logits), 1, true),
                               mx::array(kLogitsNotNumbers, mx::int32), finite));
}

}  // namespace pajamas::runtime
