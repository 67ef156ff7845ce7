// An architecture is one file in model/architectures/: its names, its tensors, how its
// hyperparameters read. docs/adding-an-architecture.md tells how to write one.
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

// One of the ways in which a Hugging Face checkpoint stores a tensor. Stacks of experts are
// published as a tensor for each expert, or with gate and up in one, or transposed.
// [experts, rows, cols] is what the model needs.
struct HfForm {
  enum class Kind : std::uint8_t {
    kWhole,                // as it is
    kEach,                 // one tensor [rows, cols] for each expert; `{e}` stands for its number
    kHalf,                 // [experts, 2 * rows, cols]: the first or second half of the rows
    kAlternate,            // [experts, 2 * rows, cols]: the even or odd rows
    kTransposed,           // [experts, cols, rows]
    kTransposedAlternate,  // [experts, cols, 2 * rows]: the even or odd columns
    kAlternateColumns,     // [experts, 2 * cols]: the even or odd columns
  };
  Kind kind;
  std::string_view name;  // `{}` stands for the layer's number
  int part = 0;           // which half, or 0 for even and 1 for odd
  bool mxfp4 = false;     // two tensors of bytes, NAME_blocks and NAME_scales
};

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
  // Whether a layer has it; null: all do.
  bool (*present)(const ModelConfig&, std::uint64_t layer) = nullptr;
  // Where the checkpoint may have it, first match wins; empty: whole, under the name `hf`.
  std::span<const HfForm> forms = {};
};

// One tensor that a model of a given configuration has.
struct TensorSpec {
  TensorKey key;
  Shape shape;
  bool is_matrix;
  std::string hf;
  std::string gguf;
  std::string mlx;
  std::span<const HfForm> forms;

  // A matrix for each expert.
  bool is_stack() const noexcept { return is_matrix && shape.rank() == 3; }
};

// `{}` replaced by the layer's number, `{e}` by the expert's.
std::string tensor_name(std::string_view pattern, int layer, std::uint64_t expert = 0);

// Why a model does not go into a format although it could be written: the stock readers of that
// format do not load it, or compute something else of it.
struct Obstacle {
  std::string key;  // of config.json
  std::string problem;
};

class Architecture {
 public:
  virtual ~Architecture() = default;

  virtual std::string_view name() const noexcept = 0;       // what users read: "Qwen2"
  virtual std::string_view hf_type() const noexcept = 0;    // config.json model_type: "qwen2"
  virtual std::string_view hf_class() const noexcept = 0;   // "Qwen2ForCausalLM"
  virtual std::string_view gguf_name() const noexcept = 0;  // general.architecture: "qwen2"
  virtual std::span<const RoleSpec> roles() const noexcept = 0;

  // Both throw Error{kCorruptFile} naming the key, or kUnsupported naming the feature.
  virtual ModelConfig read_config(const nlohmann::json& config) const = 0;
  virtual ModelConfig read_gguf(const io::GgufMetadata& metadata) const = 0;
  // The `<arch>.*` keys that llama.cpp's converter writes, in its order, of a model that
  // `require_gguf` lets pass.
  virtual void write_gguf(const ModelConfig& config, io::GgufMetadata& metadata) const = 0;
  // The keys of a config.json that say the same; for models that were read from GGUF.
  virtual void write_config(const ModelConfig& config, nlohmann::json& json) const = 0;
  // Facts of the readers: llama.cpp and mlx-lm.
  virtual std::optional<Obstacle> obstacle_in_gguf(const ModelConfig& config) const;
  virtual std::optional<Obstacle> obstacle_in_mlx(const ModelConfig& config) const;
  // Why no other program would load it as FP8 tiles, one matrix for each expert.
  virtual std::optional<Obstacle> obstacle_in_fp8(const ModelConfig&) const { return {}; }
  // What mlx-lm reads of such a model and does not compute; empty: nothing.
  virtual std::string caution_in_mlx(const ModelConfig&) const { return {}; }
  // head_dim where config.json does not say it; 0: hidden_size / num_attention_heads.
  virtual std::uint64_t usual_head_dim() const noexcept { return 0; }
  // Rows of q and k are stored so that pairs which turn together lie side by side in GGUF, and half
  // a head apart elsewhere.
  virtual bool gguf_interleaves_heads() const noexcept { return false; }
};

// All supported ones, by name, and look-ups that throw Error{kUnsupported} naming what is
// supported.
std::span<const Architecture* const> architectures() noexcept;
const Architecture& architecture_of_hf(std::string_view model_type);
const Architecture& architecture_of_gguf(std::string_view name);

// Throw Error{kUnsupported} for a model that the stock readers of the format would not load, or
// would compute otherwise; the hint names what can be done with it.
void require_gguf(const ModelConfig& config);
void require_mlx(const ModelConfig& config);
void require_fp8(const ModelConfig& config);

// Every tensor of a model in canonical order: embedding, layers in order, output norm, output.
std::vector<TensorSpec> tensors_of(const ModelConfig& config);

// Parameters of the model (tied matrices once), and of them those that one token uses.
std::uint64_t parameter_count(const ModelConfig& config);
std::uint64_t active_parameter_count(const ModelConfig& config);

// Parses and checks a config.json. Throws Error{kCorruptFile, kUnsupported}, naming the key.
ModelConfig parse_config_json(std::string_view text);
// The same from JSON that is parsed already.
ModelConfig config_of(const nlohmann::json& json);

}  // namespace pajamas::model
