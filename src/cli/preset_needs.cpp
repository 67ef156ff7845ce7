#include "cli/preset_needs.h"

#include <algorithm>
#include <functional>

#include "base/json.h"
#include "bench/bytes_read.h"
#include "cli/expectation.h"
#include "model/architecture.h"
#include "quantize/output_format.h"
#include "runtime/backend.h"

namespace pajamas::cli {
namespace {

using quantize::Format;

quantize::PlannedOutput plan_of(const quantize::PlanInput& input, quantize::Recipe recipe) {
  recipe.output = "model";
  return quantize::make_plan(input, {std::move(recipe)}, 1).outputs.front();
}

runtime::EngineOptions preset_engine(const model::ModelConfig& config, std::uint64_t context,
                                     std::string_view kv_cache) {
  runtime::EngineOptions engine;
  engine.kv_type = *runtime::kv_type_by_name(kv_cache);
  engine.context = context == 0 ? runtime::default_context(config) : context;
  return engine;
}

// What a store that keeps no more than two layers (of a mixture: the experts of two) would need:
// that at work, and that which is fetched meanwhile. Everything else stays.
std::uint64_t streamed_weights(const model::ModelConfig& config,
                               const quantize::PlannedOutput& output) {
  std::uint64_t resident = 0;
  std::vector<std::uint64_t> layers(config.layers);
  for (const quantize::PlannedTensor& tensor : output.tensors) {
    const bool streams = config.experts > 0 ? tensor.spec.is_stack() : tensor.spec.key.layer >= 0;
    if (streams) {
      layers[static_cast<std::size_t>(tensor.spec.key.layer)] +=
          bench::bytes_per_token(config, tensor.spec.key.role, tensor.spec.shape, tensor.bytes);
    } else {
      resident += tensor.bytes;
    }
  }
  std::ranges::sort(layers, std::greater());
  for (std::size_t i = 0; i < std::min<std::size_t>(2, layers.size()); ++i) resident += layers[i];
  return resident;
}

// The size of a GGUF whose matrices all have the type with the fewest bits that fits their rows.
std::uint64_t smallest_file(const quantize::PlanInput& input) {
  const auto& format = quantize::output_format(Format::kGguf);
  const std::vector<Encoding> encodings = format.encodings(input);
  quantize::Recipe recipe;
  recipe.method = std::string(format.ladder().back());
  recipe.label = "smallest";
  recipe.allow_requantize = true;
  for (const model::TensorSpec& tensor : model::tensors_of(input.config)) {
    if (!tensor.is_matrix) continue;
    const std::uint64_t cols = tensor.shape.cols();
    const Encoding* best = nullptr;
    for (const Encoding& encoding : encodings) {
      if (!encoding.fits(cols)) continue;
      if (best == nullptr || encoding.row_bytes(cols) < best->row_bytes(cols)) best = &encoding;
    }
    if (best != nullptr) recipe.types.emplace(tensor.key, *best);
  }
  return plan_of(input, std::move(recipe)).file_bytes;
}

std::uint64_t read_for_a_token(const model::ModelConfig& config,
                               const quantize::PlannedOutput& output) {
  std::uint64_t bytes = 0;
  for (const quantize::PlannedTensor& tensor : output.tensors) {
    bytes += bench::bytes_per_token(config, tensor.spec.key.role, tensor.spec.shape, tensor.bytes);
  }
  return bytes;
}

}  // namespace

ModelPresets presets_needs(const quantize::PlanInput& input, std::uint64_t context) {
  const model::ModelConfig& config = input.config;
  ModelPresets found;
  found.name = input.name;
  found.kind = quantize::kind_of(input);
  found.weights = model::parameter_count(config);
  found.smallest_file = smallest_file(input);
  for (const quantize::Preset& preset : quantize::presets()) {
    if (preset.kind != found.kind) continue;
    const runtime::EngineOptions engine = preset_engine(config, context, preset.kv_cache);
    found.context = engine.context;
    const std::uint64_t run_bytes = runtime::memory_needs(config, engine).total();
    PresetNeeds needs{
        .preset = &preset, .outputs = {}, .goal_bytes = goal_of(preset, found.weights)};
    for (const quantize::PresetOutput& output : preset.outputs) {
      quantize::Recipe recipe;
      recipe.allow_requantize = true;  // sizes can be told of any source
      quantize::apply_preset(preset, output, input, recipe);
      const quantize::PlannedOutput planned = plan_of(input, std::move(recipe));
      needs.outputs.push_back(
          {.output = &output,
           .file_bytes = planned.file_bytes,
           .bits_per_weight = planned.bits_per_weight,
           .memory_bytes = planned.file_bytes + run_bytes,
           .bytes_per_token = read_for_a_token(config, planned) +
                              bench::cache_bytes_per_token(config, engine, engine.context),
           .streamed_memory = streamed_weights(config, planned) + run_bytes});
    }
    found.presets.push_back(std::move(needs));
  }
  return found;
}

std::vector<ModelPresets> published_presets(std::uint64_t context) {
  std::vector<ModelPresets> models;
  for (const KnownModel& known : known_models()) {
    models.push_back(presets_needs(
        quantize::plan_input_of_config(parse_json(known.config), std::string(known.name)),
        context));
  }
  return models;
}

std::optional<std::uint64_t> goal_of(const quantize::Preset& preset, std::uint64_t weights) {
  for (const KnownModel& known : known_models()) {
    if (known.name != preset.published) continue;
    const auto input = quantize::plan_input_of_config(parse_json(known.config), "");
    if (model::parameter_count(input.config) == weights) return preset.goal_bytes;
  }
  return std::nullopt;
}

}  // namespace pajamas::cli
