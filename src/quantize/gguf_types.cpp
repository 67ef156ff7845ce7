// llama-quantize's choice of a type for every tensor.
// Source: llama.cpp, src/llama-quant.cpp, as of October 2026.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "codec/format.h"
#include "quantize/recipe.h"

namespace pajamas::quantize {
namespace {

using model::Role;

// What the rules look at besides the tensor itself.
struct Mix {
  GgufMethod method;
  DType default_type;
  std::uint64_t layers;
  std::uint64_t attn_v_count;
  std::uint64_t gqa;
  bool is_70b;            // recognised by llama.cpp through 80 layers
  std::uint64_t experts;  // 8 is taken for Mixtral's shape, with rules of its own
  bool importance;        // a matrix is given, whatever tensors it has
};

// Which layers of n are worth more bits: the first and last eighth, and every third between.
bool use_more_bits(std::uint64_t i, std::uint64_t n) noexcept {
  return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

DType output_type(const Mix& s) noexcept {
  if (s.method == GgufMethod::kMXFP4_MOE || s.default_type == DType::kQ8_0) {
    return DType::kQ8_0;
  }
  return DType::kQ6_K;
}

DType attn_v_type(const Mix& s, std::uint64_t i) noexcept {
  DType type = s.default_type;
  switch (s.method) {
    case GgufMethod::kQ2_K:
      type = s.gqa >= 4 ? DType::kQ4_K : DType::kQ3_K;
      break;
    case GgufMethod::kQ2_K_S:
      if (s.gqa >= 4) type = DType::kQ4_K;
      break;
    case GgufMethod::kQ3_K_M:
      type = i < 2 ? DType::kQ5_K : DType::kQ4_K;
      break;
    case GgufMethod::kQ3_K_L:
      type = DType::kQ5_K;
      break;
    case GgufMethod::kQ4_K_M:
    case GgufMethod::kQ5_K_M:
      if (use_more_bits(i, s.attn_v_count)) type = DType::kQ6_K;
      break;
    case GgufMethod::kQ4_K_S:
      if (i < 4) type = DType::kQ5_K;
      break;
    case GgufMethod::kIQ4_NL:
      if (s.gqa >= 4) type = DType::kQ5_K;
      break;
    default:
      break;
  }
  if (s.is_70b && (type == DType::kQ3_K || type == DType::kQ4_K)) type = DType::kQ5_K;
  return s.experts == 8 ? DType::kQ8_0 : type;
}

DType ffn_down_type(const Mix& s, std::uint64_t i) noexcept {
  switch (s.method) {
    case GgufMethod::kQ2_K:
      return DType::kQ3_K;
    case GgufMethod::kQ2_K_S:
      return i < s.layers / 8 ? DType::kQ4_K : s.default_type;
    case GgufMethod::kQ3_K_M:
      return i < s.layers / 16 ? DType::kQ5_K : DType::kQ4_K;
    case GgufMethod::kQ3_K_L:
      return DType::kQ5_K;
    case GgufMethod::kQ4_K_M:
    case GgufMethod::kQ5_K_M:
      return use_more_bits(i, s.layers) ? DType::kQ6_K : s.default_type;
    case GgufMethod::kQ4_K_S:
      return i < s.layers / 8 ? DType::kQ5_K : s.default_type;
    case GgufMethod::kIQ4_NL:
      return i < s.layers / 8 && !s.importance ? DType::kQ5_K : s.default_type;
    case GgufMethod::kQ4_0:
      return i < s.layers / 8 && s.importance ? DType::kQ4_1 : s.default_type;
    case GgufMethod::kQ5_0:
      return i < s.layers / 8 && s.importance ? DType::kQ5_1 : s.default_type;
    default:
      return s.default_type;
  }
}

DType attn_output_type(const Mix& s) noexcept {
  if (s.experts == 8) {
    const bool raised = s.method == GgufMethod::kQ2_K || s.method == GgufMethod::kQ3_K_S ||
                        s.method == GgufMethod::kQ3_K_M || s.method == GgufMethod::kQ4_K_S ||
                        s.method == GgufMethod::kQ4_K_M || s.method == GgufMethod::kIQ4_NL;
    return raised ? DType::kQ5_K : s.default_type;
  }
  switch (s.method) {
    case GgufMethod::kQ2_K:
      return DType::kQ3_K;
    case GgufMethod::kQ3_K_M:
      return DType::kQ4_K;
    case GgufMethod::kQ3_K_L:
      return DType::kQ5_K;
    default:
      return s.default_type;
  }
}

// The type for rows that do not fill the blocks of `type`; F16 where blocks of 32 do not fit.
DType substitute(DType type, std::uint64_t cols) noexcept {
  const codec::Format* format = codec::find_format({.dtype = type});
  const bool has = format != nullptr && format->narrower != DType::kCount;
  const DType smaller = has ? format->narrower : type;
  return cols % info(smaller).block_elems == 0 ? smaller : DType::kF16;
}

Choice fitted(DType type, std::uint64_t cols, std::string reason) {
  if (cols % info(type).block_elems == 0) {
    return {.encoding = {.dtype = type}, .reason = std::move(reason)};
  }
  const DType smaller = substitute(type, cols);
  const std::string why =
      fmt::format("rows of {} do not fit blocks of {}: {} in place of {}, as llama.cpp", cols,
                  info(type).block_elems, info(smaller).name, info(type).name);
  return {.encoding = {.dtype = smaller},
          .reason = fmt::format("{}; {}", reason, why),
          .substitution = why};
}

std::string layer_reason(std::string_view method, std::string_view what, DType type, DType usual) {
  if (type == usual) return std::string(method);
  return fmt::format("{} gives {} {}", method, what, info(type).name);
}

// The mixture of the method for one matrix; `i` counts tensors of its category.
Choice mixture(const Mix& s, const model::TensorSpec& tensor, bool is_output, std::uint64_t i) {
  const std::string_view method = info(s.method).name;
  const std::uint64_t cols = tensor.shape.cols();
  if (is_output) {
    const DType type = output_type(s);
    return fitted(type, cols,
                  fmt::format("{} gives the output matrix {}", method, info(type).name));
  }
  if (s.method == GgufMethod::kMXFP4_MOE) {
    const DType type = tensor.is_stack() ? DType::kMXFP4 : DType::kQ8_0;
    return fitted(type, cols, tensor.is_stack() ? "MXFP4_MOE" : "MXFP4_MOE, no expert: Q8_0");
  }
  switch (tensor.key.role) {
    case Role::kAttnV: {
      const DType type = attn_v_type(s, i);
      return fitted(type, cols, layer_reason(method, "attn_v of this layer", type, s.default_type));
    }
    case Role::kAttnK: {
      const DType type = s.experts == 8 ? DType::kQ8_0 : s.default_type;
      return fitted(type, cols, layer_reason(method, "attn_k", type, s.default_type));
    }
    case Role::kExpertDown:
    case Role::kFfnDown: {
      const DType type = ffn_down_type(s, i);
      return fitted(type, cols,
                    layer_reason(method, "ffn_down of this layer", type, s.default_type));
    }
    case Role::kAttnOutput: {
      const DType type = attn_output_type(s);
      return fitted(type, cols, layer_reason(method, "attn_output", type, s.default_type));
    }
    default:
      return fitted(s.default_type, cols, std::string(method));
  }
}

Mix mix_of(const Recipe& recipe, const model::ModelConfig& config,
           std::span<const model::TensorSpec> tensors) {
  const GgufMethod method = *find_gguf_method(recipe.method);
  const auto attn_v = std::count_if(tensors.begin(), tensors.end(),
                                    [](const auto& t) { return t.key.role == Role::kAttnV; });
  const std::string_view architecture = config.architecture->gguf_name();
  const std::uint64_t gqa = config.heads / config.kv_heads;
  const bool is_70b =
      config.layers == 80 && (architecture == "qwen2" || (architecture == "llama" && gqa > 1));
  return {method,
          info(method).default_type,
          config.layers,
          static_cast<std::uint64_t>(attn_v),
          gqa,
          is_70b,
          config.experts,
          recipe.importance.has_value()};
}

}  // namespace

std::vector<model::TensorSpec> in_gguf_order(const model::ModelConfig& config) {
  std::vector<model::TensorSpec> tensors = model::tensors_of(config);
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    if (a.key.layer != b.key.layer) return a.key.layer < b.key.layer;
    return a.gguf < b.gguf;
  });
  return tensors;
}

std::vector<Choice> choose_gguf_types(const Recipe& recipe, const model::ModelConfig& config,
                                      std::span<const model::TensorSpec> tensors) {
  const Mix mix = mix_of(recipe, config, tensors);
  const bool blocked = is_blocked(mix.default_type);
  std::uint64_t attn_v = 0;
  std::uint64_t ffn_down = 0;
  std::vector<bool> used(recipe.overrides.size());
  std::vector<Choice> choices;
  for (const model::TensorSpec& tensor : tensors) {
    if (!tensor.is_matrix) {
      choices.push_back(
          {.encoding = {.dtype = DType::kF32}, .reason = "norms and biases stay F32"});
      continue;
    }
    // Counted even where an override wins, so that it changes no other layer's type.
    std::uint64_t i = 0;
    if (tensor.key.role == Role::kAttnV) {
      i = attn_v++;
    } else if (tensor.key.role == Role::kFfnDown || tensor.key.role == Role::kExpertDown) {
      // With experts the layer's own number counts.
      i = config.experts > 1 ? static_cast<std::uint64_t>(tensor.key.layer) : ffn_down++;
    }
    std::optional<Choice> choice;
    for (std::size_t k = 0; k < recipe.overrides.size() && !choice; ++k) {
      if (!recipe.overrides[k].is_for(tensor.gguf)) continue;
      used[k] = true;
      choice = fitted(std::get<DType>(recipe.overrides[k].type), tensor.shape.cols(),
                      fmt::format("--tensor-type {}", recipe.overrides[k].text));
      choice->overridden = true;
    }
    if (const auto chosen = recipe.types.find(tensor.key);
        !choice && chosen != recipe.types.end()) {
      choice = fitted(chosen->second.dtype, tensor.shape.cols(),
                      fmt::format("chosen for {}", recipe.label));
    }
    if (tensor.key.role == Role::kRouter) {
      choice = Choice{.encoding = {.dtype = DType::kF32},
                      .reason = "the router stays F32, as llama.cpp keeps it"};
    }
    const bool is_output = tensor.key.role == Role::kOutput ||
                           (tensor.key.role == Role::kTokenEmbedding && config.tied_output);
    if (!choice && !blocked)
      choice = Choice{.encoding = {.dtype = mix.default_type}, .reason = recipe.method};
    if (!choice) choice = mixture(mix, tensor, is_output, i);
    choices.push_back(std::move(*choice));
  }
  for (std::size_t k = 0; k < used.size(); ++k) {
    if (used[k]) continue;
    throw Error(ErrorCode::kUsage, "matches no weight of the model",
                "`plan --all` lists the names, as blk.0.ffn_down.weight")
        .at(fmt::format("--tensor-type {}", printable(recipe.overrides[k].text, 80)));
  }
  return choices;
}

}  // namespace pajamas::quantize
