// `presets`: what --preset writes, with sizes and memory for published models or a given one.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/byte_size.h"
#include "cli/engine_options.h"
#include "cli/log.h"
#include "cli/model_argument.h"
#include "cli/preset_needs.h"
#include "cli/terminal.h"
#include "quantize/output_format.h"

namespace pajamas::cli {
namespace {

using nlohmann::ordered_json;
struct PresetsFlags {
  std::string model;
  bool no_download = false;
  std::int64_t context = 0;
  std::string memory;
  bool json = false;
};

// With experts read when they are needed, of the first preset's GGUF; nothing without experts.
std::optional<std::uint64_t> experts_streamed(const ModelPresets& model) {
  if (!model.is_mixture()) return std::nullopt;
  for (const PresetNeeds& preset : model.presets) {
    for (const OutputNeeds& output : preset.outputs) {
      if (output.output->format == quantize::Format::kGguf) return output.streamed_memory;
    }
  }
  return std::nullopt;
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
  if (const auto streamed = experts_streamed(model)) {
    text += fmt::format(
        "; a memory budget that reads experts when they are needed could reach {} (this version "
        "has none)",
        readable_bytes(*streamed));
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
  const auto streamed = experts_streamed(model);
  report["streamed_memory_bytes"] = streamed ? ordered_json(*streamed) : ordered_json();
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
    models = published_presets(positions);
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
