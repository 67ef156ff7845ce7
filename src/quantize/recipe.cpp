#include "quantize/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <regex>

#include "base/error.h"
#include "base/suggest.h"
#include "codec/codec.h"
#include "tensor/affine.h"

namespace pajamas::quantize {
namespace {

// mlx-lm gives the router as many, unless a recipe of its own is in force.
constexpr int kRouterBits = 8;

// The types that either format can be given.
std::vector<std::string_view> type_names() {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < static_cast<std::size_t>(DType::kCount); ++i) {
    const DTypeInfo& type = info(static_cast<DType>(i));
    if (type.gguf_id >= 0 && codec::can_encode(Encoding{.dtype = type.id})) {
      names.push_back(type.name);
    }
  }
  for (const MlxMethodInfo& method : mlx_methods()) names.push_back(method.name);
  return names;
}

[[noreturn]] void throw_bad_override(std::string_view text, std::string problem,
                                     const std::string& meant = {}) {
  throw Error(ErrorCode::kUsage, std::move(problem),
              meant + "give REGEX=TYPE, as 'ffn_down=Q6_K' for GGUF or 'down_proj=6bit' for MLX")
      .at(fmt::format("--tensor-type {}", printable(text, 80)));
}

// "6bit", "6bit-g32", "mxfp4", "bf16".
bool parse_mlx_type(std::string_view type, TypeOverride& override) {
  if (type == kMxfp4Method) {
    override.mlx_mxfp4 = true;
    return true;
  }
  const auto dash = type.find("-g");
  const auto bits = find_mlx_method(type.substr(0, dash));
  // MLX's names in its own spelling: BF16 and MXFP4 are GGUF's.
  if (!bits || (type != "bf16" && *bits == 16) || type.substr(0, dash).size() > 4) return false;
  override.mlx_bits = *bits;
  if (dash == std::string_view::npos) return true;
  int group = 0;
  const std::string_view digits = type.substr(dash + 2);
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), group);
  override.mlx_group_size = group;
  return code == std::errc() && end == digits.data() + digits.size() && *bits != 16 && group > 0 &&
         is_affine_group(static_cast<std::uint64_t>(group));
}

// The encoding of a row of `cols` at `bits`: the group asked for, else the largest that fits.
Choice mlx_choice(int bits, int group_size, DType plain, std::uint64_t cols, std::string reason) {
  if (bits == 16) return {.encoding = {.dtype = plain}, .reason = std::move(reason)};
  if (cols % static_cast<std::uint64_t>(group_size) == 0) {
    return {.encoding = Encoding::affine(bits, group_size, plain), .reason = std::move(reason)};
  }
  const auto substituted = [&](const Encoding& encoding, std::string what) {
    const std::string why =
        fmt::format("rows of {} do not fit groups of {}: {}", cols, group_size, what);
    return Choice{.encoding = encoding,
                  .reason = fmt::format("{}; {}", reason, why),
                  .substitution = fmt::format("{} ({} bits)", why, bits)};
  };
  for (std::size_t i = kAffineGroups.size(); i-- > 0;) {
    const int smaller = kAffineGroups[i];
    if (cols % static_cast<std::uint64_t>(smaller) != 0) continue;
    return substituted(Encoding::affine(bits, smaller, plain),
                       fmt::format("groups of {}, the largest that fits", smaller));
  }
  return substituted(Encoding{.dtype = plain}, "not quantized");
}

}  // namespace

TypeOverride parse_type_override(std::string_view text, std::span<const Format> formats) {
  const auto equals = text.rfind('=');
  if (equals == std::string_view::npos || equals == 0) throw_bad_override(text, "has no TYPE");
  TypeOverride override;
  override.text = std::string(text);
  try {
    override.is_for = [regex = std::regex(std::string(text.substr(0, equals)))](
                          const std::string& name) { return std::regex_search(name, regex); };
  } catch (const std::regex_error& error) {
    throw_bad_override(text, fmt::format("is no regular expression: {}", error.what()));
  }
  const std::string_view type = text.substr(equals + 1);
  const auto wanted = [&](Format format) {
    return std::find(formats.begin(), formats.end(), format) != formats.end();
  };
  const bool for_mlx = parse_mlx_type(type, override);
  const auto dtype = dtype_by_name(type);
  const bool for_gguf =
      dtype && info(*dtype).gguf_id >= 0 && codec::can_encode(Encoding{.dtype = *dtype});
  if (!for_mlx && !for_gguf) {
    throw_bad_override(text, fmt::format("\"{}\" is no type", printable(type, 40)),
                       did_you_mean(type, type_names()));
  }
  override.format = for_mlx && (wanted(Format::kMlx) || !for_gguf) ? Format::kMlx : Format::kGguf;
  if (!wanted(override.format)) {
    throw_bad_override(text, fmt::format("{} is a type of {}, which is not written", type,
                                         format_name(override.format)));
  }
  if (for_gguf) override.gguf_type = *dtype;
  return override;
}

std::vector<Choice> choose_mlx_types(const Recipe& recipe, DType plain,
                                     std::span<const model::TensorSpec> tensors) {
  const int base = *find_mlx_method(recipe.method);
  std::vector<Choice> choices;
  std::vector<bool> used(recipe.overrides.size());
  for (const model::TensorSpec& tensor : tensors) {
    if (!tensor.is_matrix) {
      choices.push_back(
          {.encoding = {.dtype = plain}, .reason = "norms and biases are not quantized"});
      continue;
    }
    int bits = base;
    int group_size = recipe.group_size;
    std::string reason = fmt::format("{}", recipe.method);
    bool overridden = false;
    bool mxfp4 = recipe.method == kMxfp4Method && tensor.is_stack();
    const bool tied = std::none_of(tensors.begin(), tensors.end(), [](const auto& other) {
      return other.key.role == model::Role::kOutput;
    });
    const auto own_bits =
        tensor.key.role == model::Role::kTokenEmbedding
            ? (recipe.embedding_bits || !tied ? recipe.embedding_bits : recipe.output_bits)
        : tensor.key.role == model::Role::kOutput ? recipe.output_bits
                                                  : std::nullopt;
    if (own_bits && base != 16) {
      bits = *own_bits;
      reason =
          tensor.key.role == model::Role::kOutput ? "bits of the output" : "bits of the embedding";
    }
    for (std::size_t i = 0; i < recipe.overrides.size(); ++i) {
      if (!recipe.overrides[i].is_for(tensor.mlx)) continue;
      used[i] = true;
      bits = recipe.overrides[i].mlx_bits;
      mxfp4 = recipe.overrides[i].mlx_mxfp4;
      group_size = recipe.overrides[i].mlx_group_size.value_or(recipe.group_size);
      reason = fmt::format("--tensor-type {}", recipe.overrides[i].text);
      overridden = true;
      break;
    }
    if (tensor.key.role == model::Role::kRouter && bits < kRouterBits) {
      bits = kRouterBits;
      mxfp4 = false;
      reason += "; the router gets 8 bits, or experts change their order";
    }
    if (mxfp4 && Encoding::mxfp4().fits(tensor.shape.cols())) {
      choices.push_back({.encoding = Encoding::mxfp4(), .reason = std::move(reason)});
    } else {
      choices.push_back(
          mlx_choice(bits, group_size, plain, tensor.shape.cols(), std::move(reason)));
    }
    choices.back().overridden = overridden;
  }
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (!used[i]) throw_bad_override(recipe.overrides[i].text, "matches no weight of the model");
  }
  return choices;
}

}  // namespace pajamas::quantize
