// An architecture is one row of the registry: its names, its tensors, how its hyperparameters read.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/gguf.h"
#include "model/config.h"
#include "model/role.h"
#include "tensor/shape.h"

namespace pajamas::model {

// How one role is stored. `{}` in a name stands for the layer's number.
struct RoleSpec {
  Role role;
  std::string_view hf;    // in the Hugging Face checkpoint
  std::string_view gguf;  // in GGUF
  std::string_view mlx;   // in an MLX directory (the weight plane)
  // The shape under a configuration, PyTorch order.
  Shape (*shape)(const ModelConfig&);
  bool per_layer;
  bool is_matrix;  // a linear map or embedding (quantizable); otherwise a norm or bias
};

// One tensor that a model of a given configuration has.
struct TensorSpec {
  TensorKey key;
  Shape shape;
  bool is_matrix;
  std::string hf;
  std::string gguf;
  std::string mlx;
};

class Architecture {
 public:
  virtual ~Architecture() = default;

  virtual std::string_view name() const noexcept = 0;       // what users read: "Qwen2"
  virtual std::string_view hf_type() const noexcept = 0;    // config.json model_type: "qwen2"
  virtual std::string_view gguf_name() const noexcept = 0;  // general.architecture: "qwen2"
  virtual std::span<const RoleSpec> roles() const noexcept = 0;

  // Both throw Error{kCorruptFile} naming the key, or kUnsupported naming the feature.
  virtual ModelConfig read_config(const nlohmann::json& config) const = 0;
  virtual ModelConfig read_gguf(const io::GgufMetadata& metadata) const = 0;
  // The `<arch>.*` keys that llama.cpp's converter writes, in its order.
  virtual void write_gguf(const ModelConfig& config, const nlohmann::json& hf_config,
                          io::GgufMetadata& metadata) const = 0;
};

// All supported ones, and look-ups that throw Error{kUnsupported} naming what is supported.
std::span<const Architecture* const> architectures() noexcept;
const Architecture& architecture_of_hf(std::string_view model_type);
const Architecture& architecture_of_gguf(std::string_view name);

// Every tensor of a model in canonical order: embedding, layers in order, output norm, output.
std::vector<TensorSpec> tensors_of(const ModelConfig& config);

// Parameters of the model (tied matrices once).
std::uint64_t parameter_count(const ModelConfig& config);

// Parses and checks a config.json. Throws Error{kCorruptFile, kUnsupported}, naming the key.
ModelConfig parse_config_json(std::string_view text);
// The same from JSON that is parsed already.
ModelConfig config_of(const nlohmann::json& json);

}  // namespace pajamas::model
