#include "eval/divergence.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace pajamas::eval {

double log_total(std::span<const float> logits) {
  float top = logits.front();
  for (const float v : logits) {
    if (!std::isfinite(v)) {
      throw Error(ErrorCode::kCorruptFile, "the model computes values that are not finite",
                  "its weights are damaged; download or convert it again");
    }
    top = std::max(top, v);
  }
  double sum = 0;
  for (const float v : logits) sum += std::exp(static_cast<double>(v) - static_cast<double>(top));
  return static_cast<double>(top) + std::log(sum);
}

std::uint32_t top_of(std::span<const float> logits) {
  return static_cast<std::uint32_t>(std::ranges::max_element(logits) - logits.begin());
}

PositionScore score_position(std::span<const float> logits, std::span<const float> reference,
                             std::int32_t next) {
  PositionScore score;
  const auto at = static_cast<std::size_t>(next);
  const double total = log_total(logits);
  score.nll = total - static_cast<double>(logits[at]);
  if (reference.empty()) return score;
  const double reference_total = log_total(reference);
  score.reference_nll = reference_total - static_cast<double>(reference[at]);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double log_p = static_cast<double>(reference[i]) - reference_total;
    const double log_q = static_cast<double>(logits[i]) - total;
    score.kl += std::exp(log_p) * (log_p - log_q);
  }
  score.same_top = top_of(logits) == top_of(reference);
  return score;
}

}  // namespace pajamas::eval
