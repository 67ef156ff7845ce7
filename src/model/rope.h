// The rotary embedding of a model: how fast each pair of a head turns.
#pragma once

#include <optional>
#include <vector>

#include "model/config.h"

namespace pajamas::model {

// GGUF's tensor of what the frequencies are divided by.
inline constexpr const char* kRopeFactorsName = "rope_freqs.weight";

struct RopeTable {
  std::vector<double> frequencies;  // [head_dim / 2], radians a position
  double factor = 1;                // of cosine and sine
};

// The pairs' frequencies under the configuration's scaling, as Hugging Face transformers defines
// it, in double. The values of RopeScaling are taken as they are: positive factors, an original
// context and positive betas where YaRN or llama3 need them are the reader's to check.
RopeTable rope_table(const ModelConfig& config);

// What YaRN multiplies cosine and sine by where the configuration does not say; `m` is the mscale
// that some configurations give.
double yarn_attention_factor(double factor, double m = 1) noexcept;

// What each pair's frequency is divided by, as GGUF stores a llama3 scaling: [head_dim / 2].
std::vector<float> rope_factors(const ModelConfig& config);
// The llama3 scaling of the published models that a configuration's kFactors came from; nothing
// where they came from something else.
std::optional<RopeScaling> llama3_of(const ModelConfig& config);

}  // namespace pajamas::model
