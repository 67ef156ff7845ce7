#include "model/architecture.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/error.h"
#include "model/hparams.h"
#include "model/json_file.h"
#include "model/kv_cache_type.h"

namespace pajamas::model {
namespace {

constexpr const char* kNoFormat =
    "no format that can be written holds this model for other programs: run it as it is";

[[noreturn]] void throw_unknown(std::string_view name) {
  std::string known;
  for (const Architecture* architecture : architectures()) {
    if (!known.empty()) known += ", ";
    known += architecture->hf_type();
  }
  throw Error(ErrorCode::kUnsupported,
              fmt::format("unknown architecture \"{}\"", printable(name, 60)),
              fmt::format("supported: {}", known));
}

// Weights and biases that each expert has of its own.
bool of_experts(Role role) noexcept {
  switch (role) {
    case Role::kExpertGate:
    case Role::kExpertUp:
    case Role::kExpertDown:
    case Role::kExpertGateBias:
    case Role::kExpertUpBias:
    case Role::kExpertDownBias:
      return true;
    default:
      return false;
  }
}

TensorSpec spec_of(const RoleSpec& role, int layer, const ModelConfig& config) {
  return {{role.role, layer, -1},
          role.shape(config),
          role.is_matrix,
          tensor_name(role.hf, layer),
          tensor_name(role.gguf, layer),
          tensor_name(role.mlx, layer),
          role.forms};
}

}  // namespace

std::string tensor_name(std::string_view pattern, int layer, std::uint64_t expert) {
  std::string text(pattern);
  if (const auto hole = text.find("{}"); hole != std::string::npos) {
    text.replace(hole, 2, std::to_string(layer));
  }
  if (const auto hole = text.find("{e}"); hole != std::string::npos) {
    text.replace(hole, 3, std::to_string(expert));
  }
  return text;
}

const Architecture& architecture_of_hf(std::string_view model_type) {
  for (const Architecture* architecture : architectures()) {
    if (architecture->hf_type() == model_type) return *architecture;
  }
  throw_unknown(model_type);
}

const Architecture& architecture_of_gguf(std::string_view name) {
  for (const Architecture* architecture : architectures()) {
    if (architecture->gguf_name() == name) return *architecture;
  }
  throw_unknown(name);
}

std::optional<Obstacle> Architecture::obstacle_in_gguf(const ModelConfig& config) const {
  using Kind = RopeScaling::Kind;
  const Kind kind = config.rope_scaling.kind;
  // A tensor of factors, which only these architectures have there.
  if ((kind != Kind::kLlama3 && kind != Kind::kFactors) || gguf_interleaves_heads()) return {};
  return Obstacle{
      "rope_scaling",
      fmt::format("GGUF's {} cannot scale the rotary embedding as llama3", gguf_name())};
}

std::optional<Obstacle> Architecture::obstacle_in_mlx(const ModelConfig&) const { return {}; }

void require_gguf(const ModelConfig& config) {
  const auto obstacle = config.architecture->obstacle_in_gguf(config);
  if (!obstacle) return;
  throw Error(ErrorCode::kUnsupported, obstacle->problem,
              config.architecture->obstacle_in_mlx(config) ? kNoFormat : "write --format mlx")
      .at(obstacle->key);
}

void require_mlx(const ModelConfig& config) {
  const auto obstacle = config.architecture->obstacle_in_mlx(config);
  if (!obstacle) return;
  throw Error(ErrorCode::kUnsupported, obstacle->problem,
              config.architecture->obstacle_in_gguf(config) ? kNoFormat : "write --format gguf")
      .at(obstacle->key);
}

void require_fp8(const ModelConfig& config) {
  const auto obstacle = config.architecture->obstacle_in_fp8(config);
  if (!obstacle) return;
  throw Error(ErrorCode::kUnsupported, obstacle->problem, "write --format gguf or mlx")
      .at(obstacle->key);
}

std::vector<TensorSpec> tensors_of(const ModelConfig& config) {
  const auto roles = config.architecture->roles();
  std::vector<TensorSpec> tensors;
  const auto add_global = [&](bool before_layers) {
    for (const RoleSpec& role : roles) {
      if (role.per_layer || (role.role == Role::kTokenEmbedding) != before_layers) continue;
      if (role.role == Role::kOutput && config.tied_output) continue;
      tensors.push_back(spec_of(role, -1, config));
    }
  };
  add_global(true);
  for (std::uint64_t layer = 0; layer < config.layers; ++layer) {
    for (const RoleSpec& role : roles) {
      if (!role.per_layer || (role.present != nullptr && !role.present(config, layer))) continue;
      tensors.push_back(spec_of(role, static_cast<int>(layer), config));
    }
  }
  add_global(false);
  return tensors;
}

std::uint64_t parameter_count(const ModelConfig& config) {
  std::uint64_t count = 0;
  for (const TensorSpec& tensor : tensors_of(config)) {
    count = checked_add(count, tensor.shape.elements());
  }
  return count;
}

std::uint64_t active_parameter_count(const ModelConfig& config) {
  std::uint64_t count = 0;
  for (const TensorSpec& tensor : tensors_of(config)) {
    const std::uint64_t elements = tensor.shape.elements();
    if (tensor.key.role == Role::kTokenEmbedding && !config.tied_output) {
      count += config.hidden;  // one row of it
    } else {
      count +=
          of_experts(tensor.key.role) ? elements / config.experts * config.experts_used : elements;
    }
  }
  return count;
}

ModelConfig parse_config_json(std::string_view text) { return config_of(parse_json(text)); }

ModelConfig config_of(const nlohmann::json& json) {
  const JsonParams params(json);
  const std::string type = params.text_or("model_type", "");
  if (type.empty()) {
    throw Error(ErrorCode::kCorruptFile, "is missing", "take config.json from the published model")
        .at("model_type");
  }
  const Architecture& architecture =
      with_context("model_type", [&]() -> const Architecture& { return architecture_of_hf(type); });
  ModelConfig config = architecture.read_config(json);
  config.kv_cache_type = read_kv_cache_type(json);
  parameter_count(config);  // refuses what overflows
  return config;
}

}  // namespace pajamas::model
