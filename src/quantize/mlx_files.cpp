// Facts: mlx-lm 0.32, utils.py save_model and save_config.
#include "quantize/mlx_files.h"

#include <nlohmann/json.hpp>

#include "base/json_numbers.h"
#include "model/architecture.h"
#include "model/rope_config.h"
#include "model/tensor_names.h"

namespace pajamas::quantize {
namespace {

using nlohmann::json;

constexpr int kIndent = 4;

json settings(const Encoding& encoding) {
  return {{"group_size", encoding.group_size},
          {"bits", encoding.bits},
          {"mode", encoding.is_affine() ? "affine" : encoding.name()}};
}

}  // namespace

void complete_mlx_config(const model::ModelConfig& config, json& to) {
  json all = json::object();
  config.architecture->write_config(config, all);
  for (const auto& [key, value] : all.items()) {
    const auto stated = to.find(key);
    if (stated == to.end() || stated->is_null()) to[key] = value;
  }
  to["tie_word_embeddings"] = config.tied_output;
  model::write_rope(config, to);
}

std::string make_mlx_config(const json& source, const Recipe& recipe,
                            std::span<const PlannedTensor> tensors) {
  json config = source;  // keys come out sorted
  config.erase("_name_or_path");
  config.erase("quantization");
  config.erase("quantization_config");
  const MlxMethodInfo& method = *find_mlx_method(recipe.method);
  const int bits = method.bits == 16 ? 8 : method.bits;
  Encoding usual = Encoding::affine(bits, recipe.mlx.group_size, DType::kBF16);
  if (method.small_float && !method.is_for_experts()) usual = *method.small_float;
  // Even where nothing is quantized by default, readers take the top level's numbers.
  json quantization = settings(usual);
  if (method.bits == 16) usual = {};
  bool any = false;
  for (const PlannedTensor& tensor : tensors) {
    if (tensor.encoding.is_plain()) continue;
    any = true;
    if (tensor.encoding.layout == usual.layout && tensor.encoding.bits == usual.bits &&
        tensor.encoding.group_size == usual.group_size) {
      continue;
    }
    quantization[std::string(model::module_of(tensor.name))] = settings(tensor.encoding);
  }
  if (any) {
    config["quantization"] = quantization;
    config["quantization_config"] = quantization;
  }
  return dump_json(config, kIndent);
}

}  // namespace pajamas::quantize
