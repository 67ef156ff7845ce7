// Which files of a repository make up the model that was asked for.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "hub/model_id.h"

namespace pajamas::hub {

// How a repository keeps the model.
struct Selection {
  bool gguf = false;
  std::vector<std::string> small;    // configuration and tokenizer, as far as they are there
  std::vector<std::string> weights;  // without an index: all; GGUF: its parts in order
  bool indexed = false;              // the weights are what model.safetensors.index.json names
};

inline constexpr const char* kIndexName = "model.safetensors.index.json";

// The small files that a safetensors checkpoint may have, all at the top.
std::span<const std::string_view> small_files() noexcept;

// `paths` are all files of the repository, in ascending order. Throws Error{kNotFound} where no
// file fits, naming those that the repository has instead, and Error{kUsage} where several do.
Selection select_files(const ModelId& id, std::span<const std::string> paths);

}  // namespace pajamas::hub
