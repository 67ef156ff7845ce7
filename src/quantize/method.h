// The methods a user can ask for: names, what they mean in each format, and translation.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/encoding.h"

namespace pajamas::quantize {

// What is written; quantize/output_format.h has the objects.
enum class Format { kGguf, kMlx, kFp8 };
std::string_view format_name(Format format) noexcept;  // "gguf", "mlx", "fp8"
// Throws Error{kUsage} naming the formats.
Format parse_format(std::string_view name);

// A GGUF method is llama.cpp's file type: a default type, and rules for single tensors.
enum class GgufMethod : std::uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ8_0,
  kQ6_K,
  kQ5_K_M,
  kQ5_K_S,
  kQ4_K_M,
  kQ4_K_S,
  kQ3_K_L,
  kQ3_K_M,
  kQ3_K_S,
  kQ2_K,
  kQ2_K_S,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kIQ4_NL,
  kIQ4_XS,
  kIQ3_M,
  kIQ3_S,
  kIQ3_XS,
  kIQ3_XXS,
  kIQ2_M,
  kIQ2_S,
  kIQ2_XS,
  kIQ2_XXS,
  kIQ1_M,
  kIQ1_S,
  kTQ2_0,
  kTQ1_0,
  kMXFP4_MOE,
  kCount,
};

struct GgufMethodInfo {
  GgufMethod id;
  std::string_view name;
  std::uint32_t file_type;  // general.file_type, llama_ftype
  DType default_type;
  std::string_view mlx;    // what the method is called when it is translated for MLX
  bool on_ladder = false;  // offered where something has to be smaller
};
const GgufMethodInfo& info(GgufMethod method) noexcept;
std::span<const GgufMethodInfo> gguf_methods() noexcept;

// Which tensors of a method of two widths have the larger one (quantize/mlx_mix.h).
enum class MlxMix : std::uint8_t { kNone, kStock, kRoles };

// An MLX method is a number of bits; 16 stands for unquantized bf16. A mix is what --recipe names
// too. A mode of small floats is for every matrix but the router, as in mlx-lm; mxfp4 for experts
// alone, and everything else has the bits.
struct MlxMethodInfo {
  int bits;
  std::string_view name;
  std::string_view gguf;  // what the method is called when it is translated for GGUF
  MlxMix mix = MlxMix::kNone;
  int more_bits = 0;  // of a mix
  std::optional<Encoding> small_float = {};

  bool is_for_experts() const noexcept { return small_float && small_float->is_mxfp4(); }
};
inline constexpr std::string_view kMxfp4Method = "mxfp4";
std::span<const MlxMethodInfo> mlx_methods() noexcept;
std::vector<std::string_view> mlx_recipes();  // names of the mixes

std::string lower(std::string_view text);

// A method for one format by its name, upper or lower case; nothing (null) where the format has
// none.
std::optional<GgufMethod> find_gguf_method(std::string_view name) noexcept;
const MlxMethodInfo* find_mlx_method(std::string_view name) noexcept;

// What `--method` says for each format of `--format`: names in canonical spelling, and one
// sentence for each that was translated. Between colons stand the methods of one format, with
// commas between several; without colons they are for every format. A format of one method (fp8)
// needs none: it has that one whatever is said to the others. Neither does MLX where `recipe` names
// its mix. Throws Error{kUsage} naming what exists, with the closest name first, and for a method
// that is named twice.
struct ChosenMethods {
  std::vector<std::vector<std::string>> names;  // of each format, at least one
  std::vector<std::string> notes;
};
ChosenMethods choose_methods(std::span<const Format> formats, std::string_view methods,
                             std::string_view recipe = {});

}  // namespace pajamas::quantize
