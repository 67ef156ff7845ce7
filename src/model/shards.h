// The safetensors files of a model directory, Hugging Face's or MLX's, as one name space.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "model/checkpoint.h"

namespace pajamas::model {

// Which safetensors files make up the model in `folder`: those that the index names, or
// model*.safetensors. Throws Error{kNotFound, kUnsupported, kCorruptFile}, naming what is there
// instead (a .bin checkpoint) or what is missing (a shard).
std::vector<std::filesystem::path> find_shards(const std::filesystem::path& folder);

// Reads and parses `config.json` of a model directory.
nlohmann::json read_config_file(const std::filesystem::path& file);

class Shards {
 public:
  static Shards open(const std::filesystem::path& folder);

  bool is_mlx() const noexcept { return is_mlx_; }
  const ModelConfig& config() const noexcept { return config_; }
  std::string file_name(std::size_t file) const {
    return files_[file].file().path().filename().native();
  }

  // Finds and removes the tensor called `name` (with its scales and biases, where it has them).
  std::optional<StoredTensor> take(const TensorSpec& spec, const std::string& name);

  // Throws Error{kUnsupported} naming a tensor that is left, unless it is one that means nothing
  // (a rotary table, an output matrix although the embedding is tied).
  void require_all_taken(const ModelConfig& config) const;

  std::vector<File> take_files() &&;

 private:
  struct Found {
    std::size_t file;
    const io::SafetensorsEntry* entry;
  };

  Shards() = default;
  void index(const std::filesystem::path& folder);
  std::optional<Found> take_entry(const std::string& name);
  StoredTensor affine_tensor(const TensorSpec& spec, const std::string& name, const Found& weight);
  // Bits and group size that config.json gives the module, if it says anything of it.
  void check_against_config(const std::string& module, const Encoding& encoding) const;

  std::vector<io::SafetensorsFile> files_;
  std::map<std::string, Found, std::less<>> by_name_;
  ModelConfig config_;
  nlohmann::json quantization_;
  bool is_mlx_ = false;
};

}  // namespace pajamas::model
