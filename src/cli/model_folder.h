// What a folder means where a model is asked for.
#pragma once

#include <filesystem>

#include "base/progress.h"

namespace pajamas::cli {

// The folder itself where it is a model (or a tokenizer) or holds none; else the only model inside:
// a GGUF file, a folder with a config.json, or one of these in `gguf/` and `mlx/`, as `quantize`
// lays them out. A note says which. Throws Error{kUsage}, naming them, where there are several.
std::filesystem::path model_of_folder(const std::filesystem::path& folder, Progress& progress);

}  // namespace pajamas::cli
