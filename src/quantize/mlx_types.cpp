// mlx-lm's choice of a type for every tensor, with the recipe's own bits.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "quantize/mlx_mix.h"
#include "quantize/recipe.h"
#include "tensor/affine.h"

namespace pajamas::quantize {
namespace {

// mlx-lm gives the router as many, unless a recipe of its own is in force.
constexpr int kRouterBits = 8;

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

std::optional<MlxType> parse_mlx_type(std::string_view name) {
  MlxType type;
  for (const Encoding& encoding : kSmallFloats) {
    if (name != encoding.name()) continue;
    type.bits = encoding.bits;
    type.small_float = encoding;
    return type;
  }
  const auto dash = name.find("-g");
  const MlxMethodInfo* method = find_mlx_method(name.substr(0, dash));
  // MLX's names in its own spelling: BF16 and MXFP4 are GGUF's.
  if (method == nullptr || method->mix != MlxMix::kNone || (name != "bf16" && method->bits == 16) ||
      name.substr(0, dash).size() > 4) {
    return std::nullopt;
  }
  type.bits = method->bits;
  if (dash == std::string_view::npos) return type;
  int group = 0;
  const std::string_view digits = name.substr(dash + 2);
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), group);
  if (code != std::errc() || end != digits.data() + digits.size() || method->bits == 16 ||
      group <= 0 || !is_affine_group(static_cast<std::uint64_t>(group))) {
    return std::nullopt;
  }
  type.group_size = group;
  return type;
}

std::vector<Choice> choose_mlx_types(const Recipe& recipe, DType plain,
                                     std::span<const model::TensorSpec> tensors) {
  const MlxMethodInfo& method = *find_mlx_method(recipe.method);
  const int base = method.bits;
  int layers = 0;
  bool is_mixture = false;
  for (const model::TensorSpec& tensor : tensors) {
    layers = std::max(layers, tensor.key.layer + 1);
    is_mixture |= tensor.is_stack();
  }
  std::vector<Choice> choices;
  std::vector<bool> used(recipe.overrides.size());
  for (const model::TensorSpec& tensor : tensors) {
    if (!tensor.is_matrix) {
      choices.push_back(
          {.encoding = {.dtype = plain}, .reason = "norms and biases are not quantized"});
      continue;
    }
    int bits = mixed_bits(method, tensor, layers, is_mixture);
    int group_size = recipe.mlx.group_size;
    std::string reason =
        bits == base ? recipe.method
                     : fmt::format("{}: where errors cost more, {} bits", recipe.method, bits);
    bool overridden = false;
    std::optional<Encoding> small_float;
    if (!method.is_for_experts() || tensor.is_stack()) small_float = method.small_float;
    const bool tied = std::none_of(tensors.begin(), tensors.end(), [](const auto& other) {
      return other.key.role == model::Role::kOutput;
    });
    const auto own_bits = tensor.key.role == model::Role::kTokenEmbedding
                              ? (recipe.mlx.embedding_bits || !tied ? recipe.mlx.embedding_bits
                                                                    : recipe.mlx.output_bits)
                          : tensor.key.role == model::Role::kOutput ? recipe.mlx.output_bits
                                                                    : std::nullopt;
    if (own_bits && base != 16) {
      bits = *own_bits;
      small_float.reset();
      reason =
          tensor.key.role == model::Role::kOutput ? "bits of the output" : "bits of the embedding";
    }
    if (const auto chosen = recipe.types.find(tensor.key); chosen != recipe.types.end()) {
      const Encoding& encoding = chosen->second;
      small_float.reset();
      if (encoding.is_small_float()) small_float = encoding;
      bits = encoding.is_plain() ? 16 : encoding.bits;
      if (encoding.is_affine()) group_size = encoding.group_size;
      reason = fmt::format("chosen for {}", recipe.label);
    }
    for (std::size_t i = 0; i < recipe.overrides.size(); ++i) {
      if (!recipe.overrides[i].is_for(tensor.mlx)) continue;
      used[i] = true;
      const auto& type = std::get<MlxType>(recipe.overrides[i].type);
      bits = type.bits;
      small_float = type.small_float;
      group_size = type.group_size.value_or(recipe.mlx.group_size);
      reason = fmt::format("--tensor-type {}", recipe.overrides[i].text);
      overridden = true;
      break;
    }
    const bool coarse = bits < kRouterBits || (small_float && !overridden);
    if (tensor.key.role == model::Role::kRouter && coarse) {
      bits = kRouterBits;
      small_float.reset();
      reason += "; the router gets 8 bits, or experts change their order";
    }
    if (small_float && small_float->fits(tensor.shape.cols())) {
      choices.push_back({.encoding = *small_float, .reason = std::move(reason)});
    } else {
      choices.push_back(
          mlx_choice(bits, group_size, plain, tensor.shape.cols(), std::move(reason)));
    }
    choices.back().overridden = overridden;
  }
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (used[i]) continue;
    throw_bad_override(recipe.overrides[i].text, "matches no weight of the model");
  }
  return choices;
}

}  // namespace pajamas::quantize
