#include "eval/divergence.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "kernels/math.h"

namespace pajamas::eval {

double log_total(std::span<const float> logits) {
  const double total = kernels::log_sum_exp(logits);
  if (std::isfinite(total)) return total;
  throw Error(ErrorCode::kCorruptFile, "the model computes values that are not finite",
              "its weights are damaged; download or convert it again");
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
