// What the logits of one position say about the token that came next, and how far two models'
// distributions lie apart. All in double.
#pragma once

#include <cstdint>
#include <span>

namespace pajamas::eval {

struct PositionScore {
  double nll = 0;            // -ln p(next token), in nats
  double reference_nll = 0;  // the reference's, where there is one
  double kl = 0;             // KL(reference || model) in nats
  double kl_variance = 0;    // of `kl`, where it is an estimate (eval/kept_distribution.h)
  bool same_top = false;     // both have the same likeliest token
};

// ln p(i) = logits[i] - log_total(logits). Throws Error{kCorruptFile} where a logit is NaN or
// infinite.
double log_total(std::span<const float> logits);

// The likeliest token; of equal ones the first.
std::uint32_t top_of(std::span<const float> logits);

// `reference` is empty or as long as `logits`. Throws as log_total.
PositionScore score_position(std::span<const float> logits, std::span<const float> reference,
                             std::int32_t next);

}  // namespace pajamas::eval
