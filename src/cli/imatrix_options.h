// What the commands that measure an importance matrix share: its options, and what is told of it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/progress.h"
#include "calibrate/collect.h"
#include "cli/command_line.h"
#include "model/checkpoint.h"
#include "runtime/engine_options.h"

namespace pajamas::cli {

struct ImatrixFlags {
  std::int64_t context = 512;
  std::int64_t chunks = 0;
  bool process_output = false;
  std::string memory_budget;
  bool balance = false;
  std::int64_t expert_floor = static_cast<std::int64_t>(calibrate::kExpertFloor);
};

// How text that a model wrote is called among the datasets.
inline constexpr std::string_view kOwnText = "the model's own text";

// --ctx, --chunks, --process-output, --memory-budget, --expert-balanced, --expert-floor.
void add_imatrix_flags(const Command& command, ImatrixFlags& flags);
// Throws Error{kUsage}, naming the option.
void check_imatrix_flags(const ImatrixFlags& flags);

// For calibrate::collect on this model. The scratch file goes beside `output`. Throws
// Error{kOutOfMemory} where the budget is too small. Flags that mean nothing for this model are
// told.
calibrate::CollectOptions collect_options(const ImatrixFlags& flags, const std::string& output,
                                          const model::Checkpoint& checkpoint,
                                          const runtime::EngineOptions& engine, Progress& progress);

// Whether the memory that is free holds all weights, as a model that writes needs them.
bool fits_memory(const model::Checkpoint& checkpoint);

// One line a layer with experts, on standard output.
void print_coverage(std::span<const calibrate::LayerCoverage> coverage, std::uint64_t floor);
// What of the floor was not reached, and what to do.
void tell_coverage(const calibrate::Collected& result, const ImatrixFlags& flags,
                   Progress& progress);

}  // namespace pajamas::cli
