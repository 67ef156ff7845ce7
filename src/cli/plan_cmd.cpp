// `plan`: what `quantize` would write, to the byte, without reading a weight.
#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/engine_options.h"
#include "cli/log.h"
#include "cli/model_argument.h"
#include "cli/plan_print.h"
#include "cli/quantize_options.h"
#include "cli/terminal.h"
#include "cli/used_matrix.h"
#include "kernels/table.h"
#include "quantize/plan.h"
#include "quantize/plan_input.h"
#include "runtime/backend.h"

namespace pajamas::cli {
namespace {

struct PlanFlags : QuantizeOptions {
  std::int64_t context = 0;
  bool json = false;
  bool ignored = false;  // flags of quantize that mean nothing here
};

quantize::PlanInput load(const PlanFlags& options, const StopFlag& stop) {
  if (options.model.empty() == options.config.empty()) {
    throw Error(ErrorCode::kUsage, "needs a MODEL or --config FILE, and not both",
                "see `llama-pajamas plan --help`");
  }
  if (!options.model.empty()) {
    return quantize::load_plan_input(options.model, nullptr,
                                     {.pre_tokenizer = options.pre_tokenizer});
  }
  if (!is_stream(options.config)) return quantize::load_plan_input_from_config(options.config);
  return with_context(text_input_name(options.config), [&] {
    return quantize::plan_input_of_config(parse_json(read_text_input(options.config, stop)),
                                          "model");
  });
}

// How a plan takes its model to be run.
runtime::EngineOptions engine_of(const PlanFlags& options, const model::ModelConfig& config) {
  runtime::EngineOptions engine;
  engine.kv_type = runtime::kUsualKvType;
  engine.context =
      checked_context(options.context, 0, "give the number of tokens that a cache is to hold");
  if (engine.context == 0) engine.context = runtime::default_context(config);
  return engine;
}

// What running the model takes beside its weights, by type of cache.
nlohmann::ordered_json kv_cache_json(const model::ModelConfig& config,
                                     runtime::EngineOptions engine) {
  nlohmann::ordered_json bytes;
  for (const runtime::KvTypeInfo& type : runtime::kKvTypes) {
    engine.kv_type = type.id;
    bytes[std::string(type.name)] = runtime::memory_needs(config, engine).keys_values;
  }
  return {{"context", engine.context}, {"bytes", bytes}};
}

void run_plan(const PlanFlags& options, Context& context) {
  Recipes recipes = recipes_of(options);
  const std::optional<io::Imatrix> given = given_matrix(options);
  const TaskPool pool(options.threads);  // refuses what quantize would refuse
  const quantize::PlanInput input = load(options, context.stop);
  add_preset_recipes(options, input, recipes);
  name_outputs(options, input, recipes.recipes);
  runtime::EngineOptions engine = engine_of(options, input.config);
  const std::string& suggested =
      options.preset.empty() ? input.config.kv_cache_type : recipes.recipes.front().kv_cache_type;
  if (const auto type = runtime::kv_type_by_name(suggested)) engine.kv_type = *type;
  std::optional<UsedMatrix> matrix;
  if (given) matrix = use_matrix(*given, options.imatrix, input.config, recipes.recipes);
  if (expects_own_matrix(options, input.config, recipes.recipes)) {
    recipes.notes.push_back(
        "--expert-balanced: quantize measures an importance matrix first, on text that the model "
        "writes");
  }
  if (const auto target = size_target(options)) {
    quantize::TypicalLoss losses(input.config, kernels::best_kernels());
    for (quantize::Recipe& recipe : recipes.recipes) {
      recipes.notes.push_back(quantize::meet_target(input, *target, losses, pool, recipe));
    }
    recipes.notes.push_back("plan reads no weights: quantize, which does, may choose otherwise");
  }
  const quantize::Plan plan = quantize::make_plan(input, recipes.recipes, pool.threads());
  for (const std::string& note : recipes.notes) context.progress->note(note);
  tell_missing_matrix(plan, recipes.recipes, options.model, *context.progress);
  if (matrix) tell_matrix(*matrix, *context.progress);
  if (options.json) {
    nlohmann::ordered_json report = quantize::to_json(plan);
    if (matrix) report["imatrix"] = to_json(*matrix);
    report["kv_cache"] = kv_cache_json(input.config, engine);
    fmt::print("{}\n", report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  for (const std::string& note : plan.notes) context.progress->note(note);
  print_types(plan);
  print_memory(plan, input.config, engine);
  if (options.all) {
    print_tensors(plan);
  } else {
    log_info("every tensor with its type and the reason: --all");
  }
}

}  // namespace

void add_plan(const Command& app, Context& context) {
  const Command command =
      app.add_command("plan", "Tell what quantize would write: sizes, types, memory");
  auto options = std::make_shared<PlanFlags>();
  options->output = "out";
  command
      .add_option("MODEL", options->model,
                  "Hugging Face directory or owner/name of the hub; its weights are not read")
      .type_name("");
  command
      .add_option("--config", options->config,
                  "Plan from this config.json alone (-: standard input)")
      .type_name("FILE");
  add_quantize_options(command, *options);
  command.add_option("-o,--output", options->output, "As for quantize; only its name is used")
      .capture_default_str()
      .type_name("PATH");
  command
      .add_option("--ctx", options->context,
                  "Tokens that the KV cache is sized for (default: the model's, at most 4096)")
      .type_name("N");
  // Accepted so that a quantize command line can be planned as it stands.
  command.add_flag("--dry-run", options->ignored, "No effect: plan never writes");
  command.add_flag("--force", options->ignored, "No effect: plan never writes");
  command.add_flag("--json", options->json, "Print JSON");
  command.footer(
      "Example: the size of a 7B model before downloading it\n"
      "  llama-pajamas plan Qwen/Qwen2.5-7B-Instruct --method Q4_K_M\n"
      "Example: which of two methods to take, and every tensor\n"
      "  llama-pajamas plan models/tiny-qwen2 --method Q4_K_M,Q5_K_M --all");
  command.callback([options, &context] {
    options->model =
        local_model(options->model, hub::Need::kHeaders, options->no_download, context);
    run_plan(*options, context);
  });
}

}  // namespace pajamas::cli
