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

// Reads and parses `config.json` of a model directory. Where it is missing, the error says what
// lies there instead (an adapter).
nlohmann::json read_config_file(const std::filesystem::path& file);

// How config.json says that the weights of a Hugging Face checkpoint are quantized.
enum class StoredQuantization { kNone, kFp8, kMxfp4 };
// Throws Error{kUnsupported} naming a kind that is not read.
StoredQuantization stored_quantization(const nlohmann::json& config);

class Shards {
 public:
  static Shards open(const std::filesystem::path& folder);

  bool is_mlx() const noexcept { return is_mlx_; }
  // Whether the output is tied is what the weights say, where they contradict config.json. Its
  // notes tell of this, of files left aside, and of names read otherwise than stored.
  const ModelConfig& config() const noexcept { return config_; }
  std::string file_name(std::size_t file) const { return files_[file].path().filename().native(); }

  // Finds the tensor in the form in which these files have it, with everything that belongs to it.
  // Throws Error{kCorruptFile} where a part is missing or does not fit.
  std::optional<StoredTensor> take(const TensorSpec& spec);

  // Throws Error{kUnsupported} naming a tensor that is left, unless it is one that means nothing
  // (a rotary table, an output matrix although the embedding is tied).
  void require_all_taken(const ModelConfig& config) const;

  // Hands the files on, for reading weights; they are those that the headers came from.
  std::vector<File> take_files() && { return std::move(files_); }

 private:
  struct Found {
    std::size_t file;
    const io::SafetensorsEntry* entry;
    bool taken = false;

    PlaneLocation plane() const { return {file, entry->offset, entry->bytes}; }
  };

  Shards() = default;
  void index(const std::filesystem::path& folder);
  void add_entries(std::size_t file, std::map<std::string, std::size_t>& differences);
  // Ties the output to the embedding, or not, where config.json asks for it and both are stored.
  void settle_output();
  std::optional<Found> find_entry(const std::string& name) const;
  std::optional<Found> take_entry(const std::string& name);
  Found require_entry(const std::string& name, const std::string& beside);
  // A whole tensor as it is stored, with what belongs to it; `shape` is what the model needs.
  StoredTensor take_whole(const TensorSpec& spec, const std::string& name, const Shape& shape);
  StoredTensor mlx_tensor(const TensorSpec& spec, const std::string& name, const Found& weight);
  StoredTensor fp8_tensor(TensorKey key, const std::string& name, const Found& weight);
  StoredTensor mxfp4_tensor(TensorKey key, const std::string& name);
  StoredTensor take_form(const TensorSpec& spec, const HfForm& form);
  // What config.json says of the module's quantization, if it says anything of it.
  void check_against_config(const std::string& module, const Encoding& encoding) const;

  std::vector<File> files_;
  std::vector<io::SafetensorsFile> headers_;  // one a file, which has been taken out of it
  std::map<std::string, Found, std::less<>> by_name_;
  ModelConfig config_;
  nlohmann::json quantization_;  // of an MLX directory
  bool is_mlx_ = false;
};

}  // namespace pajamas::model
