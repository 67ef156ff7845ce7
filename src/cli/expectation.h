// What running a model takes and gives, computed from its plan.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/checkpoint.h"
#include "quantize/plan.h"
#include "runtime/engine_options.h"

namespace pajamas::cli {

// Published models whose configurations are built in: models/configs/NAME.json.
struct KnownModel {
  std::string_view name;
  std::string_view config;  // JSON
};
std::span<const KnownModel> known_models() noexcept;

// A model in one method.
struct MethodNeeds {
  std::string method;
  std::uint64_t file_bytes = 0;
  std::uint64_t bytes_per_token = 0;  // of weights
  std::uint64_t memory_bytes = 0;     // file, keys and values of the context, and the work
};

// The GGUF methods worth a choice, largest file first; memory is for one session that is opened
// with these options. Experts that are stored as MXFP4 stay so, as the only form without loss.
std::vector<MethodNeeds> needs_by_method(const quantize::PlanInput& input,
                                         const runtime::EngineOptions& options);

// The first, which is the most precise, whose memory is at most `available`.
std::optional<MethodNeeds> best_that_fits(std::span<const MethodNeeds> needs,
                                          std::uint64_t available);

// Tokens a second where reading weights is all that takes time: no more are possible.
double predicted_rate(double bytes_per_second, std::uint64_t bytes_per_token);

// "--method Q4_K_M (4.68 GB) or Q3_K_M (3.81 GB)": methods whose outputs, written as the
// recipes say otherwise, take at most `limit` together. Empty where none does.
std::string methods_that_fit(const quantize::PlanInput& input,
                             std::span<const quantize::Recipe> recipes, std::uint64_t limit);

}  // namespace pajamas::cli
