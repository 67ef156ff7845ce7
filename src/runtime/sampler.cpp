#include "runtime/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/splitmix.h"

namespace pajamas::runtime {
namespace {

void require(bool good, std::string_view option, double value, std::string_view hint) {
  if (good) return;
  throw Error(ErrorCode::kUsage, fmt::format("{} is out of range", value), std::string(hint))
      .at(option);
}

// Likelier first; the smaller id where two are equal, so that the order is one.
bool likelier(float a, std::int32_t a_token, float b, std::int32_t b_token) noexcept {
  return a != b ? a > b : a_token < b_token;
}

// How many of the first weights reach `share` of the sum.
std::size_t nucleus(std::span<const double> weights, double share) {
  double sum = 0;
  for (const double w : weights) sum += w;
  double reached = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    reached += weights[i];
    if (reached >= share * sum) return i + 1;
  }
  return weights.size();
}

[[noreturn]] void fail_for_no_numbers() {
  throw Error(ErrorCode::kCorruptFile, "the model computes values that are not numbers",
              "its weights are damaged; download or convert it again");
}

[[noreturn]] void fail_for_infinite_values() {
  throw Error(ErrorCode::kCorruptFile, "the model computes infinite values",
              "its weights are damaged; download or convert it again");
}

}  // namespace

void check(const SamplerOptions& o) {
  require(std::isfinite(o.temperature) && o.temperature >= 0, "--temperature", o.temperature,
          "give 0 (always the likeliest token) or more");
  require(o.top_k >= 0, "--top-k", static_cast<double>(o.top_k), "give 0 (all tokens) or more");
  require(o.top_p > 0 && o.top_p <= 1, "--top-p", o.top_p, "give more than 0 and at most 1");
  require(o.min_p >= 0 && o.min_p <= 1, "--min-p", o.min_p, "give a number from 0 to 1");
  require(o.penalty_last_n >= -1, "penalty_last_n", static_cast<double>(o.penalty_last_n),
          "give 0 (no tokens) or more, or -1 for all");
  require(std::isfinite(o.repeat_penalty) && o.repeat_penalty > 0, "--repeat-penalty",
          o.repeat_penalty, "give more than 0; 1 is none");
}

Sampler::Sampler(SamplerOptions options) : options_(options), state_(options.seed) {
  check(options_);
}

void Sampler::accept(std::int32_t token) {
  recent_.push_back(token);
  const std::int64_t window = options_.penalty_last_n;
  if (window >= 0 && recent_.size() > static_cast<std::size_t>(window)) {
    recent_.erase(recent_.begin());
  }
}

double Sampler::next_uniform() { return unit_interval(next_split_mix(state_)); }

void Sampler::penalize() {
  if (options_.repeat_penalty == 1.0) return;
  const auto penalty = static_cast<float>(options_.repeat_penalty);
  seen_ = recent_;
  std::ranges::sort(seen_);
  seen_.erase(std::unique(seen_.begin(), seen_.end()), seen_.end());
  for (const std::int32_t token : seen_) {
    if (token < 0 || static_cast<std::size_t>(token) >= candidates_.size()) continue;
    float& logit = candidates_[static_cast<std::size_t>(token)].logit;
    logit = logit > 0 ? logit / penalty : logit * penalty;
  }
}

std::span<const double> Sampler::relative_weights(double temperature) {
  weights_.resize(candidates_.size());
  const auto top = static_cast<double>(candidates_.front().logit);
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    weights_[i] = std::exp((static_cast<double>(candidates_[i].logit) - top) / temperature);
  }
  return weights_;
}

void Sampler::keep_likeliest() {
  const auto order = [](const Candidate& a, const Candidate& b) {
    return likelier(a.logit, a.token, b.logit, b.token);
  };
  const auto k = static_cast<std::size_t>(options_.top_k);
  if (k > 0 && k < candidates_.size()) {
    // Over a vocabulary nearly every token fails its one comparison with the worst of the k.
    std::ranges::partial_sort(candidates_, candidates_.begin() + options_.top_k, order);
    candidates_.resize(k);
  } else {
    std::ranges::sort(candidates_, order);
  }
  if (options_.top_p < 1) candidates_.resize(nucleus(relative_weights(1), options_.top_p));
  if (options_.min_p > 0) {
    const std::span<const double> weights = relative_weights(1);
    std::size_t kept = 1;
    while (kept < weights.size() && weights[kept] >= options_.min_p) ++kept;
    candidates_.resize(kept);
  }
}

std::size_t Sampler::draw(std::span<const double> weights) {
  double sum = 0;
  for (const double w : weights) sum += w;
  double left = next_uniform() * sum;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    left -= weights[i];
    if (left < 0) return i;
  }
  return 0;
}

std::int32_t Sampler::sample(std::span<const float> logits) {
  candidates_.resize(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i])) fail_for_no_numbers();
    candidates_[i] = {static_cast<std::int32_t>(i), logits[i]};
  }
  penalize();
  const auto best = std::ranges::min_element(candidates_, [](const auto& a, const auto& b) {
    return likelier(a.logit, a.token, b.logit, b.token);
  });
  if (best == candidates_.end() || !std::isfinite(best->logit)) fail_for_infinite_values();
  if (options_.temperature == 0) return best->token;
  keep_likeliest();
  return candidates_[draw(relative_weights(options_.temperature))].token;
}

std::optional<ChoiceRule> Sampler::rule(std::size_t later) const noexcept {
  if (options_.repeat_penalty != 1.0) return std::nullopt;
  const std::uint64_t state = state_ + (later + 1) * kSplitMixStep;
  return ChoiceRule{options_.temperature, options_.top_k, options_.top_p, options_.min_p,
                    unit_interval(split_mix(state))};
}

std::int32_t Sampler::take(std::int32_t chosen) {
  if (chosen == kLogitsNotNumbers) fail_for_no_numbers();
  if (chosen == kLogitsInfinite) fail_for_infinite_values();
  PJ_CHECK(chosen >= 0);
  if (options_.temperature != 0) next_uniform();
  return chosen;
}

}  // namespace pajamas::runtime
