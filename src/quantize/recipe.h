// What the user wants of one output, and which stored type every tensor gets from it.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/architecture.h"
#include "quantize/method.h"
#include "tensor/encoding.h"

namespace pajamas::quantize {

// A type of MLX as users name it.
struct MlxType {
  int bits = 0;                         // 16: unquantized
  std::optional<Encoding> small_float;  // then the group size does not count
  std::optional<int> group_size;        // the recipe's where absent
};
// "6bit", "6bit-g32", "mxfp4", "mxfp8", "nvfp4" or "bf16", spelled so; nothing for anything else.
std::optional<MlxType> parse_mlx_type(std::string_view name);

// A type of one output format.
using TensorType = std::variant<DType, MlxType>;

// `--tensor-type REGEX=TYPE`. The type decides which format it is for: Q6_K or F16 for GGUF,
// 6bit, 6bit-g32 or bf16 for MLX. "bf16" is MLX's, "BF16" GGUF's where both are written.
struct TypeOverride {
  std::string text;                                     // as given
  std::function<bool(const std::string& name)> is_for;  // whether REGEX is in a tensor's name
  Format format;
  TensorType type;
};
// Throws Error{kUsage} for a broken expression, an unknown type, or one of a format that is not
// among `formats`.
TypeOverride parse_type_override(std::string_view text, std::span<const Format> formats);
// Throws Error{kUsage} for an override as it was given; `meant` begins the hint.
[[noreturn]] void throw_bad_override(std::string_view text, std::string problem,
                                     const std::string& meant = {});

struct MlxOptions {
  int group_size = 64;
  std::optional<int> embedding_bits;
  std::optional<int> output_bits;
};

// Where an importance matrix comes from, as a GGUF file says it.
struct ImportanceOrigin {
  std::string file;
  std::string dataset;
  std::uint64_t entries = 0;
  std::uint64_t chunks = 0;
};

struct Recipe {
  Format format = Format::kGguf;
  std::string method;  // canonical, as choose_methods gives it
  std::filesystem::path output;
  std::uint64_t file_bytes = 0;    // of tensors in one file, at most; 0: as the format has it
  std::string label;               // in place of the method's name, where types were chosen
  std::string kv_cache_type = {};  // to suggest; empty: what the source suggests
  // Of single tensors, where they were chosen; what the user says of a tensor wins.
  std::map<model::TensorKey, Encoding> types = {};
  std::vector<TypeOverride> overrides;  // those of this format; the first that matches wins
  bool allow_requantize = false;        // weights that are stored with loss may be quantized again
  bool no_fallback = false;             // refuse where a tensor cannot take the type it should get
  bool architecture_aware = false;
  bool preserve_attention_patterns = false;
  bool expert_balanced = false;
  std::optional<ImportanceOrigin> importance = {};  // some mixes change where a matrix is given
  MlxOptions mlx;
};

// The stored type of one tensor and why it got it.
struct Choice {
  Encoding encoding;
  std::string reason;
  std::string substitution =
      {};                   // what it got in place of what, and why; empty: what it should get
  bool overridden = false;  // --tensor-type gave it
  bool repacked = false;    // the stored numbers are taken over bit for bit
};

// The order in which llama-quantize visits and writes tensors: those outside layers first, by
// name; then layer by layer, by name. Some of its rules count in this order.
std::vector<model::TensorSpec> in_gguf_order(const model::ModelConfig& config);

// Types exactly as llama-quantize chooses them, with an importance matrix or without, for tensors
// in the order of `in_gguf_order`; one choice a tensor. Throws Error{kUsage} for an override that
// matches nothing.
std::vector<Choice> choose_gguf_types(const Recipe& recipe, const model::ModelConfig& config,
                                      std::span<const model::TensorSpec> tensors);

// Whether llama-quantize writes a tensor as this only where an importance matrix is given: types of
// so few bits that a model encoded without one is of no use.
bool needs_importance(const model::TensorSpec& tensor, const Encoding& encoding) noexcept;

// What the weights are stored as before they are quantized; without an entry: plain numbers.
using StoredEncodings = std::map<model::TensorKey, Encoding>;

// Takes account of weights that are stored with loss: those that stay as they are are taken over
// bit for bit, MXFP4 experts stay MXFP4, and what would be quantized a second time is refused
// unless the recipe allows it. Returns what is quantized a second time, a sentence for each kind.
// Throws Error{kUsage} saying from what to what.
std::vector<std::string> settle_stored(const Recipe& recipe, const StoredEncodings& stored,
                                       std::span<const model::TensorSpec> tensors,
                                       std::span<Choice> choices);

// The recipe's flags for mixtures of experts and alternating attention: raises types, each by a
// step of the format's ladder. Returns what was changed and why, a sentence each.
std::vector<std::string> raise_types(const Recipe& recipe, const model::ModelConfig& config,
                                     std::span<const model::TensorSpec> tensors,
                                     std::span<Choice> choices);

// One sentence for each kind of substitution. Throws Error{kUnsupported} with them where the recipe
// allows none.
std::vector<std::string> tell_substitutions(const Recipe& recipe, std::span<const Choice> choices);

// Types as mlx-lm would quantize, with the recipe's own bits for embedding and output. `plain` is
// the type of everything that is not quantized, and of scales and biases.
std::vector<Choice> choose_mlx_types(const Recipe& recipe, DType plain,
                                     std::span<const model::TensorSpec> tensors);

}  // namespace pajamas::quantize
