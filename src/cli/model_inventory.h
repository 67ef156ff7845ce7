// The models in a folder, each in a few words.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace pajamas::cli {

struct FoundModel {
  std::filesystem::path path;  // a GGUF file (the first part of a split one) or a folder
  std::vector<std::filesystem::path> files;  // of the weights
  std::uint64_t bytes = 0;                   // of these files
  std::string format;                        // "GGUF", "MLX", "Hugging Face"
  std::string type;                          // "Q4_K_M", "BF16": quantization_name
  std::string architecture;
  std::uint64_t parameters = 0;
  std::string problem;  // why it cannot be opened; then what it holds is not known
};

// GGUF files, and folders with a config.json and safetensors files, in `folder` and some levels
// below it, in the order of their paths. Hidden folders are passed over.
std::vector<FoundModel> find_models(const std::filesystem::path& folder);

}  // namespace pajamas::cli
