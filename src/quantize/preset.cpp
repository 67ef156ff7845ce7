#include "quantize/preset.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/suggest.h"
#include "model/architecture.h"
#include "quantize/output_format.h"

namespace pajamas::quantize {
namespace {

using model::Role;

constexpr std::array kAttention{Role::kAttnQ, Role::kAttnK, Role::kAttnV, Role::kAttnOutput};
constexpr std::array kEmbedding{Role::kTokenEmbedding};
constexpr std::array kOutput{Role::kOutput};
constexpr std::array kExpertDown{Role::kExpertDown};
constexpr std::array kAllButExperts{
    Role::kAttnQ,  Role::kAttnK,          Role::kAttnV,   Role::kAttnOutput, Role::kOutput,
    Role::kRouter, Role::kTokenEmbedding, Role::kFfnGate, Role::kFfnUp,      Role::kFfnDown};

// ---- dense models ----
constexpr std::array kDenseUltra{
    PresetOutput{Format::kGguf, "Q3_K_M", "Q3_K_M"},
    PresetOutput{Format::kMlx, "4bit", "4 bits"},
};
constexpr std::array kDenseBalanced{
    PresetOutput{Format::kGguf, "Q4_K_M", "Q4_K_M"},
    PresetOutput{Format::kMlx,
                 "4bit",
                 "4 bits, embedding and output 6",
                 {},
                 {.embedding_bits = 6, .output_bits = 6}},
};
constexpr std::array kDenseHq{
    PresetOutput{Format::kGguf, "Q6_K", "Q6_K"},
    PresetOutput{Format::kMlx,
                 "8bit",
                 "8 bits in groups of 128",
                 {},
                 {.group_size = 128, .embedding_bits = {}, .output_bits = {}}},
};

// ---- mixtures of experts ----
constexpr std::array kExpertsUltraTypes{
    RoleType{kAttention, "Q4_K"},
    RoleType{kEmbedding, "Q4_K"},
};
constexpr std::array kExpertsUltra{
    PresetOutput{Format::kGguf, "Q3_K_S", "experts Q3_K, attention Q4_K, router F32",
                 kExpertsUltraTypes},
    PresetOutput{Format::kMlx,
                 "4bit",
                 "4 bits, embedding 6, router 8",
                 {},
                 {.embedding_bits = 6, .output_bits = {}}},
};
constexpr std::array kExpertsBalancedTypes{
    RoleType{kExpertDown, "Q5_K"},
    RoleType{kAttention, "Q8_0"},
    RoleType{kEmbedding, "Q6_K"},
    RoleType{kOutput, "Q6_K"},
};
constexpr std::array kExpertsBalanced{
    PresetOutput{Format::kGguf, "Q4_K_S",
                 "experts Q4_K, ffn_down_exps Q5_K, attention Q8_0, output Q6_K, router F32",
                 kExpertsBalancedTypes},
    PresetOutput{Format::kMlx, "mixed_4_6", "4 and 6 bits by layer, router 8"},
};
constexpr std::array kExpertsNative{
    PresetOutput{Format::kFp8, "fp8",
                 "E4M3 in tiles of 128x128; router, embedding and output as "
                 "stored"},
};

// ---- mixtures of experts that are stored in MXFP4; rows of 2880 fit no super-blocks ----
constexpr std::array kMxfp4UltraGguf{
    RoleType{kAttention, "IQ4_NL", "Q5_0"},
    RoleType{kEmbedding, "IQ4_NL"},
    RoleType{kOutput, "Q5_1"},
};
constexpr std::array kMxfp4UltraMlx{
    RoleType{kAttention, "4bit", "5bit"},
    RoleType{kEmbedding, "4bit"},
    RoleType{kOutput, "6bit"},
};
constexpr std::array kMxfp4Ultra{
    PresetOutput{Format::kGguf, "MXFP4_MOE",
                 "experts MXFP4, attention IQ4_NL and where full Q5_0, output Q5_1",
                 kMxfp4UltraGguf},
    PresetOutput{Format::kMlx, kMxfp4Method,
                 "experts mxfp4, attention 4 bits and where full 5, output 6", kMxfp4UltraMlx},
};
constexpr std::array kMxfp4BalancedGguf{
    RoleType{kAttention, "Q5_1", "Q8_0"},
    RoleType{kEmbedding, "Q5_1"},
    RoleType{kOutput, "Q8_0"},
};
constexpr std::array kMxfp4BalancedMlx{
    RoleType{kAttention, "6bit", "8bit"},
    RoleType{kEmbedding, "6bit"},
    RoleType{kOutput, "8bit"},
};
constexpr std::array kMxfp4Balanced{
    PresetOutput{Format::kGguf, "MXFP4_MOE",
                 "experts MXFP4, attention Q5_1 and where full Q8_0, output Q8_0",
                 kMxfp4BalancedGguf},
    PresetOutput{Format::kMlx, kMxfp4Method,
                 "experts mxfp4, attention 6 bits and where full 8, output 8", kMxfp4BalancedMlx},
};
constexpr std::array kAsStored{RoleType{kAllButExperts, ""}};
constexpr std::array kMxfp4Native{
    PresetOutput{Format::kGguf, "MXFP4_MOE", "experts MXFP4 bit for bit, all else as stored",
                 kAsStored},
    PresetOutput{Format::kMlx, kMxfp4Method, "experts mxfp4 bit for bit, all else as stored",
                 kAsStored},
};

constexpr const char* kQwen = "Qwen2.5-7B-Instruct";
constexpr const char* kQwenExperts = "Qwen3-30B-A3B";
constexpr const char* kGptOss = "gpt-oss-20b";

constexpr std::uint64_t kMegabyte = 1'000'000;
constexpr std::array kPresets{
    Preset{ModelKind::kDense, "ultra", "as small as answers stay good", "q4_0", kQwen,
           800 * kMegabyte, kDenseUltra},
    Preset{ModelKind::kDense, "balanced", "what most people should take", "q8_0", kQwen,
           1700 * kMegabyte, kDenseBalanced},
    Preset{ModelKind::kDense, "hq", "next to no loss", "f16", kQwen, 3100 * kMegabyte, kDenseHq},
    Preset{ModelKind::kExperts, "ultra", "as small as answers stay good", "q4_0", kQwenExperts,
           2100 * kMegabyte, kExpertsUltra},
    Preset{ModelKind::kExperts, "balanced", "what most people should take", "q8_0", kQwenExperts,
           2700 * kMegabyte, kExpertsBalanced},
    Preset{ModelKind::kExperts, "native", "for servers with FP8 units", "f16", kQwenExperts,
           7800 * kMegabyte, kExpertsNative},
    Preset{ModelKind::kMxfp4Experts, "ultra", "experts without loss, the rest small", "q3_0",
           kGptOss, 1600 * kMegabyte, kMxfp4Ultra},
    Preset{ModelKind::kMxfp4Experts, "balanced", "what most people should take", "q4_0", kGptOss,
           2100 * kMegabyte, kMxfp4Balanced},
    Preset{ModelKind::kMxfp4Experts, "native", "without any loss", "f16", kGptOss,
           12200 * kMegabyte, kMxfp4Native},
};

std::vector<std::string_view> names_of(ModelKind kind) {
  std::vector<std::string_view> names;
  for (const Preset& preset : kPresets) {
    if (preset.kind == kind) names.push_back(preset.name);
  }
  return names;
}

Encoding encoding_of(std::string_view type, const PresetOutput& output, const PlanInput& input) {
  const Encoding plain{.dtype = input.plain};
  if (type.empty()) return plain;
  const TensorType found = *output_format(output.format).find_type(type);
  if (const auto* dtype = std::get_if<DType>(&found)) return {.dtype = *dtype};
  const auto& mlx = std::get<MlxType>(found);
  return mlx.small_float.value_or(
      Encoding::affine(mlx.bits, mlx.group_size.value_or(output.mlx.group_size), input.plain));
}

}  // namespace

ModelKind kind_of(const PlanInput& input) noexcept {
  if (input.config.experts == 0) return ModelKind::kDense;
  const bool stored = std::ranges::any_of(
      input.stored, [](const auto& tensor) { return tensor.second.is_mxfp4(); });
  const bool published = input.config.activation == model::Activation::kClampedSwiGlu;
  return stored || published ? ModelKind::kMxfp4Experts : ModelKind::kExperts;
}

std::string_view kind_name(ModelKind kind) noexcept {
  switch (kind) {
    case ModelKind::kDense:
      return "dense models";
    case ModelKind::kExperts:
      return "mixtures of experts";
    case ModelKind::kMxfp4Experts:
      return "mixtures of experts in MXFP4";
  }
  return "";
}

std::span<const Preset> presets() noexcept { return kPresets; }

std::vector<std::string_view> preset_names() {
  std::vector<std::string_view> names;
  for (const Preset& preset : kPresets) {
    if (std::ranges::find(names, preset.name) == names.end()) names.push_back(preset.name);
  }
  return names;
}

void check_preset_name(std::string_view name) {
  const auto names = preset_names();
  if (std::ranges::find(names, lower(name)) != names.end()) return;
  throw Error(ErrorCode::kUsage, fmt::format("there is no preset \"{}\"", printable(name, 40)),
              fmt::format("{}give one of {}", did_you_mean(name, names), fmt::join(names, ", ")))
      .at("--preset");
}

const Preset& preset_for(const PlanInput& input, std::string_view name) {
  check_preset_name(name);
  const ModelKind kind = kind_of(input);
  for (const Preset& preset : kPresets) {
    if (preset.kind == kind && preset.name == lower(name)) return preset;
  }
  throw Error(ErrorCode::kUsage, fmt::format("{} is no preset of {}", lower(name), kind_name(kind)),
              fmt::format("give {}", fmt::join(names_of(kind), ", ")))
      .at("--preset");
}

void apply_preset(const Preset& preset, const PresetOutput& output, const PlanInput& input,
                  Recipe& recipe) {
  recipe.format = output.format;
  recipe.method = output.method;
  recipe.label = preset.name;
  recipe.mlx = output.mlx;
  recipe.kv_cache_type = preset.kv_cache;
  const model::ModelConfig& config = input.config;
  const bool windows = std::ranges::count(config.sliding_layers, true) > 0;
  for (const model::TensorSpec& tensor : model::tensors_of(config)) {
    if (!tensor.is_matrix) continue;
    // A tied embedding is the output matrix, which errors of cost more.
    const bool is_output = config.tied_output && tensor.key.role == Role::kTokenEmbedding;
    for (const RoleType& rule : output.types) {
      if (std::ranges::find(rule.roles, is_output ? Role::kOutput : tensor.key.role) ==
          rule.roles.end()) {
        continue;
      }
      const bool full = windows && tensor.key.layer >= 0 && !rule.full.empty() &&
                        config.window(static_cast<std::uint64_t>(tensor.key.layer)) == 0;
      recipe.types.emplace(tensor.key, encoding_of(full ? rule.full : rule.type, output, input));
      break;
    }
  }
}

}  // namespace pajamas::quantize
