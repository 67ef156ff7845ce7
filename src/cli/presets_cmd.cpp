// `presets`: what --preset writes, with sizes and memory for published models or a given one.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "bench/bytes_read.h"
#include "cli/byte_size.h"
#include "cli/engine_options.h"
#include "cli/expectation.h"
#include "cli/log.h"
#include "cli/model_argument.h"
#include "cli/terminal.h"
#include "model/architecture.h"
#include "quantize/output_format.h"
#include "quantize/plan_input.h"
#include "quantize/preset.h"
#include "runtime/backend.h"

namespace pajamas::cli {
namespace {

using nlohmann::ordered_json;
using quantize::Format;

struct PresetsFlags {
  std::string model;
  bool no_download = false;
  std::int64_t context = 0;
  std::string memory;
  bool json = false;
};

// One output of a preset, for a model.
struct OutputNeeds {
  const quantize::PresetOutput* output = nullptr;
  std::uint64_t file_bytes = 0;
  double bits_per_weight = 0;
  std::uint64_t memory_bytes = 0;  // file, keys and values, work
};
struct PresetNeeds {
  const quantize::Preset* preset = nullptr;
  std::vector<OutputNeeds> outputs;
};
struct ModelPresets {
  std::string name;
  quantize::ModelKind kind;
  std::uint64_t weights = 0;
  std::uint64_t context = 0;
  std::vector<PresetNeeds> presets;
  std::uint64_t smallest_file = 0;  // GGUF of nothing but the smallest types
  // With experts read when they are needed, of the first preset's GGUF; nothing without experts.
  std::optional<std::uint64_t> streamed_memory;
};

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

// What a store that keeps no more than the experts of two layers would need: those at work, and
// those that are fetched meanwhile. Everything else stays.
std::uint64_t streamed_weights(const model::ModelConfig& config,
                               const quantize::PlannedOutput& output) {
  std::uint64_t resident = 0;
  std::vector<std::uint64_t> layers(config.layers);
  for (const quantize::PlannedTensor& tensor : output.tensors) {
    if (tensor.spec.is_stack()) {
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
    PresetNeeds needs{.preset = &preset, .outputs = {}};
    for (const quantize::PresetOutput& output : preset.outputs) {
      quantize::Recipe recipe;
      recipe.allow_requantize = true;  // sizes can be told of any source
      quantize::apply_preset(preset, output, input, recipe);
      const quantize::PlannedOutput planned = plan_of(input, std::move(recipe));
      needs.outputs.push_back(
          {&output, planned.file_bytes, planned.bits_per_weight, planned.file_bytes + run_bytes});
      if (config.experts > 0 && output.format == Format::kGguf && !found.streamed_memory) {
        found.streamed_memory = streamed_weights(config, planned) + run_bytes;
      }
    }
    found.presets.push_back(std::move(needs));
  }
  return found;
}

// Whether this much memory holds a preset, and if none, what would help.
std::string verdict(const ModelPresets& model, std::uint64_t memory) {
  const PresetNeeds* best = nullptr;
  const OutputNeeds* best_output = nullptr;
  for (const PresetNeeds& preset : model.presets) {
    for (const OutputNeeds& output : preset.outputs) {
      if (output.memory_bytes > memory) continue;
      if (best_output != nullptr && output.memory_bytes <= best_output->memory_bytes) continue;
      best = &preset;
      best_output = &output;
    }
  }
  if (best != nullptr) {
    return fmt::format("in {}: {}, {}", readable_bytes(memory), best->preset->name,
                       quantize::format_name(best_output->output->format));
  }
  std::string text = fmt::format("in {}: no preset", readable_bytes(memory));
  if (model.smallest_file > memory) {
    text += fmt::format(
        "; no file of this model is that small, with nothing but the smallest types it has {}",
        readable_bytes(model.smallest_file));
  } else {
    text += fmt::format("; --target-size {} chooses types for it", readable_bytes(memory));
  }
  if (model.streamed_memory) {
    text += fmt::format(
        "; a memory budget that reads experts when they are needed could reach {} (this version "
        "has none)",
        readable_bytes(*model.streamed_memory));
  }
  return text;
}

ordered_json presets_json(const ModelPresets& model) {
  ordered_json presets = ordered_json::array();
  for (const PresetNeeds& needs : model.presets) {
    ordered_json outputs = ordered_json::array();
    for (const OutputNeeds& output : needs.outputs) {
      outputs.push_back({{"format", quantize::format_name(output.output->format)},
                         {"method", output.output->method},
                         {"types", output.output->what},
                         {"file_bytes", output.file_bytes},
                         {"bits_per_weight", output.bits_per_weight},
                         {"memory_bytes", output.memory_bytes}});
    }
    presets.push_back({{"preset", needs.preset->name},
                       {"purpose", needs.preset->purpose},
                       {"kv_cache", needs.preset->kv_cache},
                       {"outputs", std::move(outputs)}});
  }
  ordered_json report = {
      {"model", model.name},           {"kind", quantize::kind_name(model.kind)},
      {"weights", model.weights},      {"context", model.context},
      {"presets", std::move(presets)}, {"smallest_file_bytes", model.smallest_file}};
  report["streamed_memory_bytes"] =
      model.streamed_memory ? ordered_json(*model.streamed_memory) : ordered_json();
  return report;
}

void print(const ModelPresets& model, std::uint64_t memory) {
  fmt::print("{}\n",
             paint(fmt::format("{}: {} weights, {}", printable(model.name, 200),
                               with_thousands(model.weights), quantize::kind_name(model.kind)),
                   Colour::kBold, stdout));
  fmt::print("  {:<9} {:<6} {:>9} {:>11} {:>9}  {:<8}  {}\n", "preset", "format", "file",
             "bits/weight", "memory", "KV cache", "types");
  for (const PresetNeeds& needs : model.presets) {
    for (const OutputNeeds& output : needs.outputs) {
      const bool first = &output == &needs.outputs.front();
      fmt::print("  {:<9} {:<6} {:>9} {:>11.3f} {:>9}  {:<8}  {}\n",
                 first ? needs.preset->name : "", quantize::format_name(output.output->format),
                 readable_bytes(output.file_bytes), output.bits_per_weight,
                 readable_bytes(output.memory_bytes), first ? needs.preset->kv_cache : "",
                 output.output->what);
    }
  }
  fmt::print("  {}\n\n", verdict(model, memory));
}

// In which people hope to run each of the three.
constexpr const char* kWantedMemory = "4GB";

void run_presets(const PresetsFlags& options, Context& context) {
  const std::uint64_t memory =
      parse_byte_size(options.memory.empty() ? kWantedMemory : options.memory, "--memory-budget");
  const std::uint64_t positions =
      checked_context(options.context, 0, "give the number of tokens that a cache is to hold");
  std::vector<ModelPresets> models;
  if (options.model.empty()) {
    for (const KnownModel& known : known_models()) {
      models.push_back(presets_needs(
          quantize::plan_input_of_config(parse_json(known.config), std::string(known.name)),
          positions));
    }
  } else {
    const std::string path =
        local_model(options.model, hub::Need::kHeaders, options.no_download, context);
    models.push_back(presets_needs(quantize::load_plan_input(path, nullptr), positions));
  }
  if (options.json) {
    ordered_json report = ordered_json::array();
    for (const ModelPresets& model : models) {
      report.push_back(presets_json(model));
      report.back()["memory_budget_bytes"] = memory;
      report.back()["verdict"] = verdict(model, memory);
    }
    fmt::print("{}\n", ordered_json{{"models", std::move(report)}}.dump(
                           2, ' ', false, ordered_json::error_handler_t::replace));
    return;
  }
  for (const ModelPresets& model : models) print(model, memory);
  log_info(fmt::format(
      "memory: the file, and the preset's KV cache of {} tokens with the work (--ctx changes it)",
      with_thousands(models.front().context)));
}

}  // namespace

void add_presets(const Command& app, Context& context) {
  const Command command =
      app.add_command("presets", "List what --preset writes, with sizes and memory");
  auto options = std::make_shared<PresetsFlags>();
  command
      .add_option("MODEL", options->model,
                  "Model to compute for (default: the published ones that presets were made for)")
      .type_name("");
  add_no_download_option(command, options->no_download);
  command
      .add_option("--ctx", options->context,
                  "Tokens that the KV cache is sized for (default: the model's, at most 4096)")
      .type_name("N");
  command
      .add_option("--memory-budget", options->memory,
                  fmt::format("Say what fits into this much (default: {})", kWantedMemory))
      .type_name("SIZE");
  command.add_flag("--json", options->json, "Print JSON");
  command.footer(
      "Example: what fits into 8 GB\n"
      "  llama-pajamas presets Qwen/Qwen2.5-7B-Instruct --memory-budget 8GB\n"
      "Example: take one\n"
      "  llama-pajamas quantize Qwen/Qwen2.5-7B-Instruct --preset balanced --output qwen");
  command.callback([options, &context] { run_presets(*options, context); });
}

}  // namespace pajamas::cli
