// `targets`: what a model was aimed at and what it is; of a model that is none yet, what presets
// would make of it, beside the goals of the project.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "bench/bytes_read.h"
#include "cli/command.h"
#include "cli/engine_options.h"
#include "cli/load_model.h"
#include "cli/measured_figures.h"
#include "cli/measured_model.h"
#include "cli/model_argument.h"
#include "cli/model_summary.h"
#include "cli/preset_needs.h"
#include "cli/targets_report.h"
#include "model/json_file.h"
#include "model/own_keys.h"
#include "quantize/plan_input.h"
#include "runtime/backend.h"

namespace pajamas::cli {
namespace {

namespace fs = std::filesystem;

// A quick look: enough to tell 6 tokens a second from 7.
const bench::SpeedQuestion kQuickQuestion{
    .contexts = {0}, .prompt_tokens = 64, .generation_tokens = 16, .repeats = 3};

struct TargetsFlags {
  std::string model;
  bool no_download = false;
  std::vector<std::string> measured;
  bool no_measure = false;
  std::int64_t context = 0;
  EngineFlags engine;
  bool json = false;
};

// Of a folder or file that is there: whether it holds weights, or nothing but a configuration.
bool has_weights(const fs::path& path) {
  std::error_code code;
  if (!fs::is_directory(path, code)) return path.extension() != ".json";
  return std::ranges::any_of(fs::directory_iterator(path, code), [](const auto& entry) {
    return entry.path().extension() == ".safetensors";
  });
}

std::string target_of(const model::Checkpoint& checkpoint, const fs::path& path) {
  if (checkpoint.gguf() != nullptr) return model::read_own_key(model::kTarget, *checkpoint.gguf());
  return model::read_own_key(model::kTarget, model::json_object_if_there(path / "config.json"));
}

// The goal of the project for a preset's model of this size; the preset is the one that was aimed
// at.
void find_goal(const model::Checkpoint& checkpoint, MadeModel& made) {
  quantize::PlanInput input;
  input.config = checkpoint.config();
  for (const model::StoredTensor& tensor : checkpoint.tensors()) {
    if (!tensor.encoding.is_plain()) input.stored.emplace(tensor.key, tensor.encoding);
  }
  const quantize::ModelKind kind = quantize::kind_of(input);
  for (const quantize::Preset& preset : quantize::presets()) {
    if (preset.kind != kind || preset.name != made.target) continue;
    made.goal_bytes = goal_of(preset, made.weights);
    made.goal_preset = preset.name;
  }
}

MadeModel described_model(const model::Checkpoint& checkpoint, const fs::path& path,
                          const TargetsFlags& options, runtime::EngineOptions& engine) {
  const model::ModelConfig& config = checkpoint.config();
  if (!config.kv_cache_type.empty()) {
    engine.kv_type = runtime::kv_type_by_name(config.kv_cache_type).value_or(engine.kv_type);
  }
  engine.context = options.context == 0 ? runtime::default_context(config)
                                        : static_cast<std::uint64_t>(options.context);
  MadeModel made;
  made.name = printable(options.model, 1000);
  made.target = target_of(checkpoint, path);
  made.format = model::container_name(checkpoint.container());
  made.quantization = quantization_name(checkpoint);
  made.weights = model::parameter_count(config);
  made.file_bytes = file_bytes(checkpoint);
  made.bits_per_weight =
      static_cast<double>(weights_bytes(checkpoint)) * 8 / static_cast<double>(made.weights);
  made.context = engine.context;
  made.kv_cache = runtime::info(engine.kv_type).name;
  made.memory_bytes = weights_bytes(checkpoint) + runtime::memory_needs(config, engine).total();
  made.weight_bytes_per_token = bench::bytes_per_token(checkpoint);
  find_goal(checkpoint, made);
  return made;
}

bench::SpeedReport measure_speed(const std::string& path, const TargetsFlags& options,
                                 runtime::EngineOptions engine, Context& context) {
  bench::SpeedQuestion question = kQuickQuestion;
  const auto subject = open_measured(path, options.model, engine, question, context);
  bench::SpeedMeter meter(subject->engine(), question, *context.progress);
  context.progress->begin("measuring", question.tokens(), "tokens");
  meter.warm_up(context.stop);
  while (!meter.is_complete()) meter.round(context.stop);
  context.progress->end();
  bench::SpeedReport report;
  report.model = subject->name;
  report.backend = subject->engine().backend();
  report.results =
      bench::results_of(meter, subject->engine().config(), engine, subject->weight_bytes_per_token);
  report.question = question;
  return report;
}

MadeModel made_model(const std::string& path, bool all_there, const TargetsFlags& options,
                     Context& context) {
  const std::vector<MeasuredFigures> reports = read_measured(options.measured);
  runtime::EngineOptions engine = engine_options(options.engine);
  const model::Checkpoint checkpoint = model::Checkpoint::open(path);
  settle_backend(checkpoint, engine);
  MadeModel made = described_model(checkpoint, path, options, engine);
  for (const MeasuredFigures& figures : reports) {
    if (is_of(figures.model, path, options.model)) continue;
    context.progress->note(fmt::format("figures of {} are not of this model and are left out",
                                       printable(figures.model, 200)));
  }
  made.measured = figures_for(reports, path, options.model);
  const bool told = made.measured && !made.measured->rates.empty();
  if (!told && all_there && !options.no_measure) {
    made.speed = measure_speed(path, options, engine, context);
  } else if (!told) {
    made.speed_note = all_there ? " (--no-measure)" : ": only the headers are here";
  }
  made.depth = made.context;
  if (made.speed) made.depth = made.speed->results.front().context;
  if (told) made.depth = made.measured->rates.front().context;
  made.cache_bytes_per_token =
      bench::cache_bytes_per_token(checkpoint.config(), engine, made.depth);
  return made;
}

void run_targets(const TargetsFlags& options, Context& context) {
  const std::uint64_t positions =
      checked_context(options.context, 0, "give the number of tokens that a cache is to hold");
  check_engine_flags(options.engine);
  std::vector<ModelPresets> planned;
  std::optional<MadeModel> made;
  if (options.model.empty()) {
    planned = published_presets(positions);
  } else {
    const std::size_t temporary = context.temporary.size();
    const std::string path =
        local_model(options.model, hub::Need::kHeaders, options.no_download, context);
    const bool weights = has_weights(path);
    if (weights && is_quantized(model::Checkpoint::open(path))) {
      made = made_model(path, context.temporary.size() == temporary, options, context);
    } else {
      const bool file = fs::path(path).extension() == ".json";
      planned.push_back(presets_needs(file ? quantize::load_plan_input_from_config(path)
                                           : quantize::load_plan_input(path, nullptr),
                                      positions));
    }
  }
  if (!made && !options.measured.empty()) {
    throw Error(ErrorCode::kUsage, "figures are of a model that was made, and this one is not",
                "give the GGUF file, or the MLX or FP8 folder, that was measured")
        .at("--measured");
  }
  if (options.json) {
    nlohmann::ordered_json models = nlohmann::ordered_json::array();
    for (const ModelPresets& model : planned) models.push_back(targets_json(model));
    if (made) models.push_back(targets_json(*made));
    nlohmann::ordered_json out = {{"models", std::move(models)}};
    out.update(hardware_json());
    fmt::print("{}\n", out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  for (const ModelPresets& model : planned) print_targets(model);
  if (made) print_targets(*made);
  print_hardware();
}

}  // namespace

void add_targets(const Command& app, Context& context) {
  const Command command = app.add_command(
      "targets", "Show what a model was aimed at, what it is, and how fast it could be elsewhere");
  auto options = std::make_shared<TargetsFlags>();
  command
      .add_option(
          "MODEL", options->model,
          "GGUF file, MLX or FP8 folder; of a config.json or a model that is not quantized, "
          "what presets would make (default: of the published ones)")
      .type_name("");
  command
      .add_option("--measured", options->measured,
                  "What `validate`, `benchmark` or `compare` printed of it with --json")
      .delimiter(',')
      .type_name("FILE");
  command.add_flag("--no-measure", options->no_measure, "Do not measure the speed here");
  command
      .add_option("--ctx", options->context,
                  "Tokens that the KV cache is sized for (default: the model's, at most 4096)")
      .type_name("N");
  add_engine_options(command, context.settings, options->engine,
                     {.kv_cache = runtime::kUsualKvType, .activations = "int8", .settings = false});
  add_no_download_option(command, options->no_download);
  command.add_flag("--json", options->json, "Print JSON");
  command.footer(
      "Example: the nine presets beside the goals, and what they could do on other hardware\n"
      "  llama-pajamas targets\n"
      "Example: a model with its quality\n"
      "  llama-pajamas validate model.gguf --reference original --metrics perplexity,kl --json > "
      "q.json\n"
      "  llama-pajamas targets model.gguf --measured q.json");
  command.callback([options, &context] { run_targets(*options, context); });
}

}  // namespace pajamas::cli
