// What a rule says, for tests: one step after the other over all tokens.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "runtime/choice.h"

namespace pajamas::runtime {

inline std::int32_t drawn_by(std::span<const float> logits, const ChoiceRule& rule) {
  for (const float logit : logits) {
    if (std::isnan(logit)) return kLogitsNotNumbers;
  }
  std::vector<std::int32_t> tokens(logits.size());
  std::iota(tokens.begin(), tokens.end(), 0);
  const auto logit_of = [&](std::int32_t token) {
    return static_cast<double>(logits[static_cast<std::size_t>(token)]);
  };
  std::ranges::stable_sort(
      tokens, [&](std::int32_t a, std::int32_t b) { return logit_of(a) > logit_of(b); });
  const double top = logit_of(tokens[0]);
  if (!std::isfinite(top)) return kLogitsInfinite;
  if (rule.temperature == 0) return tokens[0];

  const auto keep = [&](auto count) {
    tokens.resize(std::min(tokens.size(), static_cast<std::size_t>(count)));
  };
  if (rule.top_k > 0) keep(rule.top_k);
  const auto weight = [&](std::int32_t token, double temperature) {
    return std::exp((logit_of(token) - top) / temperature);
  };
  const auto sum = [&](double temperature) {
    double all = 0;
    for (const std::int32_t token : tokens) all += weight(token, temperature);
    return all;
  };
  if (rule.top_p < 1) {
    const double share = rule.top_p * sum(1);
    double reached = 0;
    std::size_t count = 0;
    while (count < tokens.size() && reached < share) reached += weight(tokens[count++], 1);
    keep(count);
  }
  std::erase_if(tokens, [&](std::int32_t token) { return weight(token, 1) < rule.min_p; });
  const double at = rule.uniform * sum(rule.temperature);
  double reached = 0;
  for (const std::int32_t token : tokens) {
    reached += weight(token, rule.temperature);
    if (at < reached) return token;
  }
  return tokens[0];
}

}  // namespace pajamas::runtime
