// The small files of an MLX directory.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "quantize/recipe.h"

namespace pajamas::quantize {

// Makes a config.json say what mlx-lm needs to read the model alike: keys that transformers fills
// with defaults, of which mlx-lm has others or none, and the rotary embedding in the older
// spelling, which is the only one it reads.
void complete_mlx_config(const model::ModelConfig& config, nlohmann::json& json);

// One tensor of the output as the index and the configuration see it.
struct MlxTensor {
  std::string name;  // of the weight
  Encoding encoding;
  std::string shard;  // file name
};

// config.json: the source's, with `quantization` (and its copy) as mlx-lm writes it: the recipe's
// bits and group size, and a full entry for every module that differs.
std::string make_mlx_config(const nlohmann::json& source, const Recipe& recipe,
                            const std::vector<MlxTensor>& tensors);

// model.safetensors.index.json.
std::string make_mlx_index(const std::vector<MlxTensor>& tensors, std::uint64_t total_bytes,
                           std::uint64_t parameters);

}  // namespace pajamas::quantize
