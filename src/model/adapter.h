// Adapters: small weights that mean nothing without the model they were trained on.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace pajamas::model {

// What PEFT or mlx-lm left in a folder.
struct Adapter {
  std::string kind;  // "a LoRA adapter"
  std::string base;  // the model it belongs to, as its configuration names it; may be empty
};

// Whether the folder holds one, and what its configuration says of it, as far as that can be read.
std::optional<Adapter> find_adapter(const std::filesystem::path& folder);

// "merge it into its base model (Qwen/Qwen2.5-7B-Instruct) first"
std::string how_to_merge(const Adapter& adapter);

}  // namespace pajamas::model
