#include "cli/imatrix_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>

#include "base/error.h"
#include "base/readable.h"
#include "base/system.h"
#include "cli/byte_size.h"
#include "cli/load_model.h"

namespace pajamas::cli {
namespace {

constexpr std::int64_t kLeastChunk = 16;
constexpr std::int64_t kLargestChunk = 1 << 20;

void require_range(std::int64_t value, std::int64_t least, std::int64_t most, const char* option) {
  if (value >= least && value <= most) return;
  throw Error(ErrorCode::kUsage, fmt::format("{} is out of range", value),
              fmt::format("give a number from {} to {}", least, most))
      .at(option);
}

// Where a file of that name is to be, or the nearest folder above that is there.
std::filesystem::path existing_folder(const std::filesystem::path& file) {
  std::filesystem::path folder = std::filesystem::absolute(file).parent_path();
  std::error_code code;
  while (folder.has_relative_path() && !std::filesystem::is_directory(folder, code)) {
    folder = folder.parent_path();
  }
  return folder;
}

}  // namespace

void add_imatrix_flags(const Command& command, ImatrixFlags& flags) {
  command.add_option("--ctx", flags.context, "Tokens of a chunk (default: 512)").type_name("N");
  command.add_option("--chunks", flags.chunks, "Measure on so many chunks (default: all)")
      .type_name("N");
  command.add_flag("--process-output", flags.process_output,
                   "Measure the input of the output matrix too");
  command
      .add_option("--memory-budget", flags.memory_budget,
                  "Memory to take at most, as 3GB; the text waits on the disk beyond it (default: "
                  "half of what is free)")
      .type_name("SIZE");
  command.add_flag("--expert-balanced", flags.balance,
                   "Go on until every expert has seen its floor: with the rest of the text, then "
                   "with text that the model writes");
  command
      .add_option("--expert-floor", flags.expert_floor, "Tokens that every expert should have seen")
      .capture_default_str()
      .type_name("N");
}

void check_imatrix_flags(const ImatrixFlags& flags) {
  require_range(flags.context, kLeastChunk, kLargestChunk, "--ctx");
  require_range(flags.chunks, 0, std::int64_t{1} << 31, "--chunks");
  require_range(flags.expert_floor, 1, std::int64_t{1} << 31, "--expert-floor");
  if (!flags.memory_budget.empty()) parse_byte_size(flags.memory_budget, "--memory-budget");
}

calibrate::CollectOptions collect_options(const ImatrixFlags& flags, const std::string& output,
                                          const model::Checkpoint& checkpoint,
                                          const runtime::EngineOptions& engine,
                                          Progress& progress) {
  const model::ModelConfig& config = checkpoint.config();
  if (engine.context > config.context_length) {
    progress.note(fmt::format("--ctx {} is more than the {} positions the model was made for",
                              engine.context, config.context_length));
  }
  calibrate::CollectOptions options;
  options.context = static_cast<std::uint32_t>(flags.context);
  options.chunks = static_cast<std::uint64_t>(flags.chunks);
  options.expert_floor = static_cast<std::uint64_t>(flags.expert_floor);
  options.balance = flags.balance;
  if (flags.balance && config.experts == 0) {
    progress.note("the model has no experts: --expert-balanced changes nothing");
  }
  options.output_matrix = flags.process_output && !config.tied_output;
  if (flags.process_output && config.tied_output) {
    progress.note("the output matrix is the embedding: --process-output changes nothing");
  }
  if (flags.balance && config.experts > 0 && !fits_memory(checkpoint)) {
    options.own_chunks = 0;
    progress.note(
        "the model's weights do not fit the memory: it writes no text of its own, which would read "
        "all of them for every token");
  }
  options.scratch = existing_folder(output);
  const std::uint64_t fixed = calibrate::fixed_bytes(checkpoint, engine);
  const std::uint64_t budget =
      flags.memory_budget.empty() ? 0 : parse_byte_size(flags.memory_budget, "--memory-budget");
  if (budget == 0) {
    options.activation_bytes = available_memory_bytes() / 2;
  } else if (budget > fixed) {
    options.activation_bytes = budget - fixed;
  } else {
    throw Error(
        ErrorCode::kOutOfMemory,
        fmt::format("two layers of the model and what is measured take {}", readable_bytes(fixed)),
        fmt::format("give at least {}", readable_bytes(fixed + fixed / 10)))
        .at("--memory-budget");
  }
  options.session_bytes = runtime::memory_needs(config, engine).keys_values;
  return options;
}

bool fits_memory(const model::Checkpoint& checkpoint) {
  const std::uint64_t available = available_memory_bytes();
  return available == 0 || weights_bytes(checkpoint) < available;
}

void print_coverage(std::span<const calibrate::LayerCoverage> coverage, std::uint64_t floor) {
  if (coverage.empty()) return;
  fmt::print("tokens seen by the experts of each layer\n");
  fmt::print("{:>7} {:>10} {:>10} {:>10}  below {}\n", "layer", "least", "median", "most",
             with_thousands(floor));
  for (const calibrate::LayerCoverage& layer : coverage) {
    fmt::print("{:>7} {:>10} {:>10} {:>10}  {}\n", layer.layer, with_thousands(layer.least),
               with_thousands(layer.median), with_thousands(layer.most),
               layer.below.empty() ? "none" : fmt::format("{}", fmt::join(layer.below, " ")));
  }
}

void tell_coverage(const calibrate::Collected& result, const ImatrixFlags& flags,
                   Progress& progress) {
  const std::uint64_t below = result.experts_below();
  if (below == 0) return;
  const std::string what = fmt::format(
      "{} {} seen fewer than {} tokens", below, below == 1 ? "expert has" : "experts have",
      with_thousands(static_cast<std::uint64_t>(flags.expert_floor)));
  progress.note(flags.balance
                    ? what + ": neither the text nor what the model wrote reaches them"
                    : what +
                          ": a longer text reaches more, and --expert-balanced goes on until "
                          "all are reached");
}

}  // namespace pajamas::cli
