// What planning an output takes in every format.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "quantize/plan.h"
#include "quantize/plan_input.h"

namespace pajamas::quantize {

// The type of KV cache that the output suggests; empty: none.
const std::string& suggested_kv_cache(const PlanInput& input, const Recipe& recipe) noexcept;

// An output without its tensors and files.
PlannedOutput begin_output(const Recipe& recipe);

// What the recipe makes of every tensor, given the format's own choices, and what there is to tell
// about it.
std::vector<PlannedTensor> settle_tensors(const PlanInput& input, const Recipe& recipe,
                                          std::span<const model::TensorSpec> specs,
                                          std::vector<Choice> choices,
                                          std::vector<std::string>& notes);

// Queries and keys go from the source's order of rows to the output's.
void order_rows(const PlanInput& input, bool interleaved, PlannedOutput& output);

// Adds up bytes and bits; the last step. Throws Error{kUsage} where there are more files than can
// be open at a time.
void sum_up(PlannedOutput& output, const model::ModelConfig& config);

}  // namespace pajamas::quantize
