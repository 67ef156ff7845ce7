// How tokens are drawn: what the user says, else what the model's makers recommend, else ours.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>

#include "model/checkpoint.h"
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

void add_sampling_options(CLI::App& command, SamplingFlags& flags);

// Recommendations come from generation_config.json beside the weights, or from GGUF's
// `general.sampling.*`; one that makes no sense is passed over.
// Throws Error{kUsage} where a flag makes none.
runtime::SamplerOptions sampler_options(const SamplingFlags& flags,
                                        const model::Checkpoint& checkpoint);

}  // namespace pajamas::cli
