// llama-quantize's choice of a type for every tensor.
// Source: llama.cpp, src/llama-quant.cpp, as of October 2026.
#include <fmt/format.h>

#include <algorithm>
#include <array>
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

// The smallest mixes, which have rules of their own.
bool is_iq1(const Mix& s) noexcept {
  return s.method == GgufMethod::kIQ1_S || s.method == GgufMethod::kIQ1_M;
}
bool is_iq2_s_or_m(const Mix& s) noexcept {
  return s.method == GgufMethod::kIQ2_S || s.method == GgufMethod::kIQ2_M;
}
bool is_iq1_or_iq2(const Mix& s) noexcept {
  return is_iq1(s) || is_iq2_s_or_m(s) || s.method == GgufMethod::kIQ2_XXS ||
         s.method == GgufMethod::kIQ2_XS;
}

DType output_type(const Mix& s) noexcept {
  if (s.method == GgufMethod::kMXFP4_MOE || s.default_type == DType::kQ8_0) return DType::kQ8_0;
  return is_iq1_or_iq2(s) || s.method == GgufMethod::kIQ3_XXS ? DType::kQ5_K : DType::kQ6_K;
}

DType embedding_type(const Mix& s) noexcept {
  if (is_iq2_s_or_m(s) || s.method == GgufMethod::kIQ3_XXS) return DType::kIQ3_S;
  if (is_iq1_or_iq2(s)) return DType::kQ2_K;
  const bool ternary = s.method == GgufMethod::kTQ1_0 || s.method == GgufMethod::kTQ2_0;
  return ternary ? DType::kQ4_K : s.default_type;
}

DType attn_v_type(const Mix& s, std::uint64_t i) noexcept {
  DType type = s.default_type;
  if (is_iq1_or_iq2(s)) {
    if (s.gqa >= 4 || s.experts >= 4) return DType::kQ4_K;
    return is_iq2_s_or_m(s) ? DType::kIQ3_S : DType::kQ2_K;
  }
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
    case GgufMethod::kIQ4_XS:
      if (s.gqa >= 4) type = DType::kQ5_K;
      break;
    case GgufMethod::kIQ3_M:
      type = DType::kQ4_K;
      break;
    case GgufMethod::kIQ3_S:
    case GgufMethod::kIQ3_XS:
      if (s.gqa >= 4) type = DType::kQ4_K;
      break;
    case GgufMethod::kIQ3_XXS:
      type = s.gqa >= 4 ? DType::kQ4_K : s.importance ? DType::kIQ3_XXS : DType::kIQ3_S;
      break;
    default:
      break;
  }
  if (s.is_70b && (type == DType::kQ3_K || type == DType::kQ4_K)) type = DType::kQ5_K;
  return s.experts == 8 ? DType::kQ8_0 : type;
}

DType attn_k_type(const Mix& s) noexcept {
  if (s.experts == 8) return is_iq1_or_iq2(s) ? DType::kQ4_K : DType::kQ8_0;
  if (s.method == GgufMethod::kIQ3_XS) return DType::kIQ3_XXS;
  return s.method == GgufMethod::kIQ3_XXS ? DType::kIQ2_S : s.default_type;
}

DType attn_q_type(const Mix& s) noexcept {
  if (s.method == GgufMethod::kIQ3_XS) return DType::kIQ3_XXS;
  return s.method == GgufMethod::kIQ3_XXS ? DType::kIQ2_S : s.default_type;
}

DType ffn_gate_or_up_type(const Mix& s, std::uint64_t i) noexcept {
  const bool middle = i >= s.layers / 8 && i < 7 * s.layers / 8;
  return s.method == GgufMethod::kIQ3_XS && middle ? DType::kIQ3_XXS : s.default_type;
}

DType ffn_down_type(const Mix& s, std::uint64_t i) noexcept {
  const bool early = i < s.layers / 8;
  if (is_iq1_or_iq2(s)) {
    if (!early) return s.default_type;
    return is_iq2_s_or_m(s) ? DType::kIQ3_S : DType::kQ2_K;
  }
  switch (s.method) {
    case GgufMethod::kQ2_K:
      return DType::kQ3_K;
    case GgufMethod::kQ2_K_S:
      return early ? DType::kQ4_K : s.default_type;
    case GgufMethod::kQ3_K_M:
      return i < s.layers / 16 ? DType::kQ5_K : DType::kQ4_K;
    case GgufMethod::kQ3_K_L:
      return DType::kQ5_K;
    case GgufMethod::kQ4_K_M:
    case GgufMethod::kQ5_K_M:
      return use_more_bits(i, s.layers) ? DType::kQ6_K : s.default_type;
    case GgufMethod::kQ4_K_S:
      return early ? DType::kQ5_K : s.default_type;
    case GgufMethod::kIQ3_XXS:
      if (s.importance) return s.default_type;
      return early ? DType::kQ4_K : DType::kQ3_K;
    case GgufMethod::kIQ3_M: {
      const bool more = early || (s.experts == 8 && use_more_bits(i, s.layers));
      return more ? DType::kQ4_K : s.default_type;
    }
    case GgufMethod::kIQ4_NL:
    case GgufMethod::kIQ4_XS:
      return early && !s.importance ? DType::kQ5_K : s.default_type;
    case GgufMethod::kQ4_0:
      return early && s.importance ? DType::kQ4_1 : s.default_type;
    case GgufMethod::kQ5_0:
      return early && s.importance ? DType::kQ5_1 : s.default_type;
    default:
      return s.default_type;
  }
}

DType attn_output_type(const Mix& s) noexcept {
  using enum GgufMethod;
  if (is_iq1_or_iq2(s)) {
    if (s.experts == 8) return DType::kQ5_K;
    if (is_iq1(s)) return DType::kIQ2_XXS;
    return is_iq2_s_or_m(s) ? DType::kIQ3_S : s.default_type;
  }
  if (s.experts == 8) {
    constexpr std::array kRaised{kQ2_K,   kQ3_K_S, kQ3_K_M, kQ4_K_S, kQ4_K_M, kIQ4_NL,
                                 kIQ4_XS, kIQ3_M,  kIQ3_S,  kIQ3_XS, kIQ3_XXS};
    return std::ranges::count(kRaised, s.method) != 0 ? DType::kQ5_K : s.default_type;
  }
  switch (s.method) {
    case kQ2_K:
      return DType::kQ3_K;
    case kIQ3_XXS:
      return DType::kIQ3_S;
    case kQ3_K_M:
    case kIQ3_M:
      return DType::kQ4_K;
    case kQ3_K_L:
      return DType::kQ5_K;
    default:
      return s.default_type;
  }
}

// The type for rows that do not fill the blocks of `type`.
DType narrower(DType type) noexcept {
  const codec::Format* format = codec::find_format({.dtype = type});
  return format != nullptr && format->narrower != DType::kCount ? format->narrower : type;
}

// `type`, or `instead` where rows do not fill its blocks; F16 where they do not fill those either.
Choice fitted(DType type, DType instead, std::uint64_t cols, std::string reason) {
  if (cols % info(type).block_elems == 0) {
    return {.encoding = {.dtype = type}, .reason = std::move(reason)};
  }
  const DType smaller = cols % info(instead).block_elems == 0 ? instead : DType::kF16;
  const std::string why =
      fmt::format("rows of {} do not fit blocks of {}: {} in place of {}, as llama.cpp", cols,
                  info(type).block_elems, info(smaller).name, info(type).name);
  return {.encoding = {.dtype = smaller},
          .reason = fmt::format("{}; {}", reason, why),
          .substitution = why};
}
Choice fitted(DType type, std::uint64_t cols, std::string reason) {
  return fitted(type, narrower(type), cols, std::move(reason));
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
    return fitted(type, DType::kQ8_0, cols,
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
      const DType type = attn_k_type(s);
      return fitted(type, cols, layer_reason(method, "attn_k", type, s.default_type));
    }
    case Role::kAttnQ: {
      const DType type = attn_q_type(s);
      return fitted(type, cols, layer_reason(method, "attn_q", type, s.default_type));
    }
    case Role::kTokenEmbedding: {
      const DType type = embedding_type(s);
      return fitted(type, cols, layer_reason(method, "the embedding", type, s.default_type));
    }
    case Role::kFfnGate:
    case Role::kFfnUp:
    case Role::kExpertGate:
    case Role::kExpertUp: {
      const DType type = ffn_gate_or_up_type(s, static_cast<std::uint64_t>(tensor.key.layer));
      return fitted(type, cols,
                    layer_reason(method, "gate and up of this layer", type, s.default_type));
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

bool needs_importance(const model::TensorSpec& tensor, const Encoding& encoding) noexcept {
  if (tensor.key.role == Role::kTokenEmbedding || tensor.key.role == Role::kOutput) return false;
  constexpr std::array kTypes{DType::kIQ3_XXS, DType::kIQ2_S, DType::kIQ2_XS,
                              DType::kIQ2_XXS, DType::kIQ1_M, DType::kIQ1_S};
  return encoding.layout == Layout::kStream && std::ranges::count(kTypes, encoding.dtype) != 0;
}

}  // namespace pajamas::quantize
