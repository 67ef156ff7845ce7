// What a model's folder name says about it, read as llama.cpp's converter reads it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pajamas::quantize {

// Empty where the name does not tell.
struct ModelName {
  std::string title;       // "Qwen2.5 7B Instruct"
  std::string basename;    // "Qwen2.5"
  std::string finetune;    // "Instruct"
  std::string version;     // "v0.3"
  std::string size_label;  // "7B"
};
ModelName parse_model_name(std::string_view folder, std::uint64_t parameters);

// "7.6B", "4.2M": two digits at least.
std::string size_label(std::uint64_t parameters);

}  // namespace pajamas::quantize
