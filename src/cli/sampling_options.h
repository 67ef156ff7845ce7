// How the user wants tokens to be drawn.
#pragma once

#include <optional>

#include "cli/command_line.h"
#include "runtime/sampler.h"

namespace pajamas::cli {

struct SamplingFlags {
  std::optional<double> temperature;
  std::optional<std::int64_t> top_k;
  std::optional<double> top_p;
  std::optional<double> min_p;
  std::optional<double> repeat_penalty;
  std::uint64_t seed = 0;
};

void add_sampling_options(const Command& command, SamplingFlags& flags);

// `standard` with what the flags say. Throws Error{kUsage} where that makes no sense.
runtime::SamplerOptions sampler_options(const SamplingFlags& flags,
                                        runtime::SamplerOptions standard);

}  // namespace pajamas::cli
