// A size to aim at in place of a method: the types of all tensors are chosen together.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "quantize/plan_input.h"
#include "quantize/predicted_loss.h"
#include "quantize/recipe.h"

namespace pajamas::quantize {

// One of the two counts, the other is 0.
struct SizeTarget {
  std::string label;             // as a name: "4.5GB", "4.0bpw"
  std::uint64_t file_bytes = 0;  // of all files of the output, at most
  double bits_per_weight = 0;    // of the tensors, at most
};

// Gives the recipe the types, of all that its format has, whose losses are least together while the
// output is not larger than the target; its method becomes what most weights have. What the recipe
// says of single tensors holds, and what has no choice of types (norms, GGUF's router) stays.
// Returns what was chosen, for the user. Throws Error{kUsage} where the target is below what is
// possible, saying what is, and for flags that choose types themselves; else as make_plan.
std::string meet_target(const PlanInput& input, const SizeTarget& target, LossSource& losses,
                        const TaskPool& pool, Recipe& recipe);

}  // namespace pajamas::quantize
