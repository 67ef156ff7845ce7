// The small files of an MLX directory.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "quantize/recipe.h"

namespace pajamas::quantize {

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
