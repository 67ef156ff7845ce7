// The choice of tokens where their logits are: the steps of a Sampler, for several rows at once.
#pragma once

#include <mlx/array.h>

#include <span>

#include "runtime/choice.h"

namespace pajamas::runtime {

// logits [n][vocab] in float32, a rule for each row: n tokens, or kLogitsNotNumbers and
// kLogitsInfinite. Weights are computed in `type`: the draw falls where Sampler's does but for its
// rounding.
mlx::core::array choice_of(const mlx::core::array& logits, std::span<const ChoiceRule> rules,
                           mlx::core::Dtype type);

}  // namespace pajamas::runtime
