// The model that a quantized one was made from, for whoever does not name it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace pajamas::cli {

struct KnownReference {
  std::string name;  // owner/name
  std::filesystem::path path;
  std::string why;  // "which general.source.repo_url names", to follow the name
};

// What the file at `path` or the model card beside it names as its source, else the model of its
// name, where the hub's cache has that as it was published and with this model's shape. Nothing for
// models that are not quantized: of those a card names what they were trained from. Throws as
// Checkpoint::open does of `path` alone.
std::optional<KnownReference> known_reference(const std::filesystem::path& path,
                                              const std::filesystem::path& cache);

}  // namespace pajamas::cli
