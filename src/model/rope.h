// The rotary embedding of a model: how fast each pair of a head turns.
#pragma once

#include <vector>

#include "model/config.h"

namespace pajamas::model {

struct RopeTable {
  std::vector<double> frequencies;  // [head_dim / 2], radians a position
  double factor = 1;                // of cosine and sine
};

// The pairs' frequencies under the configuration's scaling, as Hugging Face transformers defines
// it, in double. The values of RopeScaling are taken as they are: positive factors, an original
// context and positive betas where YaRN or llama3 need them are the reader's to check.
RopeTable rope_table(const ModelConfig& config);

// What YaRN multiplies cosine and sine by where the configuration does not say.
double yarn_attention_factor(double factor) noexcept;

}  // namespace pajamas::model
