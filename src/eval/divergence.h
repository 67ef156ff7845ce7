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
  bool same_top = false;     // both have the same likeliest token
};

// `reference` is empty or as long as `logits`. Throws Error{kCorruptFile} where a logit is NaN or
// infinite.
PositionScore score_position(std::span<const float> logits, std::span<const float> reference,
                             std::int32_t next);

}  // namespace pajamas::eval
