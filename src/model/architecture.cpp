#include "model/architecture.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/error.h"
#include "model/hparams.h"
#include "model/json_file.h"
#include "model/qwen2.h"

namespace pajamas::model {
namespace {

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

std::string with_layer(std::string_view name, int layer) {
  std::string text(name);
  if (const auto hole = text.find("{}"); hole != std::string::npos) {
    text.replace(hole, 2, std::to_string(layer));
  }
  return text;
}

TensorSpec spec_of(const RoleSpec& role, int layer, const ModelConfig& config) {
  return {{role.role, layer, -1},     role.shape(config),           role.is_matrix,
          with_layer(role.hf, layer), with_layer(role.gguf, layer), with_layer(role.mlx, layer)};
}

}  // namespace

std::span<const Architecture* const> architectures() noexcept {
  static const std::array<const Architecture*, 1> all{&qwen2_architecture()};
  return all;
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
      if (role.per_layer) tensors.push_back(spec_of(role, static_cast<int>(layer), config));
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
  parameter_count(config);  // refuses what overflows
  return config;
}

}  // namespace pajamas::model
