// config.json of an MLX directory.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "quantize/plan.h"

namespace pajamas::quantize {

// Makes a config.json say what mlx-lm needs to read the model alike: keys that transformers fills
// with defaults, of which mlx-lm has others or none, and the rotary embedding in the older
// spelling, which is the only one it reads.
void complete_mlx_config(const model::ModelConfig& config, nlohmann::json& json);

// config.json: the source's, with `quantization` (and its copy) as mlx-lm writes it: the recipe's
// bits and group size, and a full entry for every module that differs.
std::string make_mlx_config(const nlohmann::json& source, const Recipe& recipe,
                            std::span<const PlannedTensor> tensors);

}  // namespace pajamas::quantize
