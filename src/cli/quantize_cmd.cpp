// `quantize`: checkpoint in, GGUF, MLX and FP8 out, in one pass.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/output.h"
#include "base/system.h"
#include "bench/report.h"
#include "cli/engine_options.h"
#include "cli/expectation.h"
#include "cli/load_model.h"
#include "cli/log.h"
#include "cli/model_argument.h"
#include "cli/plan_print.h"
#include "cli/quantize_options.h"
#include "cli/report_file.h"
#include "cli/shell_words.h"
#include "cli/terminal.h"
#include "cli/used_matrix.h"
#include "quantize/execute.h"
#include "quantize/output_format.h"
#include "quantize/plan_input.h"

namespace pajamas::cli {
namespace {

struct QuantizeFlags : QuantizeOptions {
  bool dry_run = false;
  bool force = false;
  std::string kernels;
  std::string page;
  bool json = false;
};

using nlohmann::ordered_json;

// A GGUF output is a file; a folder's name is a mistake that --force must not turn into a loss.
// What would fail at the end of a download fails before it.
void check_output(const QuantizeFlags& options, const quantize::Recipe& recipe) {
  std::error_code code;
  // Whether it is one file in the end depends on its size.
  if (recipe.file_bytes > 0) return;
  const bool one_file = quantize::output_format(recipe.format).is_one_file();
  if (!one_file || !std::filesystem::is_directory(recipe.output, code)) {
    require_absent(recipe.output, {.replace = options.force},
                   one_file ? OutputKind::kFile : OutputKind::kDirectory);
    return;
  }
  throw Error(ErrorCode::kUsage, "is a directory, a GGUF is one file",
              recipe.output == options.output
                  ? fmt::format("give {}", printable((recipe.output / "model.gguf").native(), 300))
                  : "remove it, or give another --output")
      .at(fmt::format("--output {}", printable(recipe.output.native(), 200)));
}

// As quantize::check_outputs; where the disk is too small, with the methods that would fit.
void check_outputs(const quantize::Plan& plan, OutputOptions output,
                   const quantize::PlanInput& input, const std::vector<quantize::Recipe>& recipes) {
  try {
    quantize::check_outputs(plan, output);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNoSpace || !recipes.front().label.empty()) throw;
    const std::string fitting =
        methods_that_fit(input, recipes, free_disk_bytes(plan.outputs.front().path));
    if (fitting.empty()) throw;
    throw Error(error.code(), error.problem(),
                fmt::format("try {}, another --output, or free some space", fitting))
        .at(error.place());
  }
}

// What was written, or is going to be, and what of it `--json` prints.
struct Outcome {
  ordered_json document;
  bool tensors_printed = false;

  void print() const {
    ordered_json printed = document;
    if (!tensors_printed) {
      for (ordered_json& output : printed["outputs"]) output.erase("tensors");
    }
    fmt::print("{}\n", printed.dump(2, ' ', false, ordered_json::error_handler_t::replace));
  }
};

// What to do with what was written, as lines to copy.
std::string next_commands(const quantize::Plan& plan, const QuantizeFlags& options,
                          const Context& context) {
  std::string text = "next:";
  for (const quantize::PlannedOutput& output : plan.outputs) {
    text += "\n  " + shell_command({context.program, "run", path_argument(output.path.native())});
  }
  return text + "\n  " +
         shell_command({context.program, "validate",
                        path_argument(plan.outputs.front().path.native()), "--metrics",
                        "perplexity,kl", "--reference", path_argument(options.model)});
}

Outcome print_dry_run(const quantize::Plan& plan, const std::optional<UsedMatrix>& matrix,
                      const QuantizeFlags& options) {
  Outcome outcome{quantize::to_json(plan), true};
  if (matrix) outcome.document["imatrix"] = to_json(*matrix);
  outcome.document["dry_run"] = true;
  if (options.json) {
    outcome.print();
    return outcome;
  }
  print_types(plan);
  fmt::print("peak memory: at most {}; nothing was written\n",
             readable_bytes(plan.peak_memory_bytes));
  if (options.all) print_tensors(plan);
  return outcome;
}

Outcome print_done(const quantize::Plan& plan, const std::optional<UsedMatrix>& matrix,
                   const QuantizeFlags& options, const Context& context, std::uint64_t parameters,
                   double seconds) {
  const std::uint64_t peak = peak_resident_bytes();
  Outcome outcome{quantize::to_json(plan)};
  ordered_json& document = outcome.document;
  document["model"] = options.model;
  if (matrix) document["imatrix"] = to_json(*matrix);
  document["weights"] = parameters;
  document["seconds"] = seconds;
  document["peak_memory_bytes"] = peak;
  if (options.json) {
    outcome.print();
  } else {
    print_summary(plan);
    (void)std::fflush(stdout);  // before what goes to the other stream
  }
  log_info(fmt::format("{} weights in {} ({} million/s), peak memory {}",
                       with_thousands(parameters), readable_seconds(seconds),
                       readable_rate(static_cast<double>(parameters) / seconds / 1e6),
                       readable_bytes(peak)),
           {{"weights", parameters}, {"seconds", seconds}, {"peak_memory_bytes", peak}});
  log_info(next_commands(plan, options, context));
  return outcome;
}

void run_quantize(const QuantizeFlags& options, Context& context) {
  Recipes recipes = recipes_of(options);
  const double load_before = load_average();
  ReportFile page(options.page, options.force, "quantize", context);
  // What is called by the model, or chosen by its kind, waits for it.
  const auto check = [&] {
    for (const quantize::Recipe& recipe : recipes.recipes) {
      page.require_apart_from(recipe.output.native());
      check_output(options, recipe);
    }
  };
  if (options.output_name.empty()) check();
  std::string model;
  std::optional<model::Checkpoint> checkpoint;
  quantize::PlanInput input;
  // Of a model of the hub the headers may be all that is here; whatever is here whole is read once.
  const auto open = [&](hub::Need need) {
    std::error_code code;
    if (!model.empty() && std::filesystem::exists(options.model, code)) return;
    std::string found = local_model(options.model, need, options.no_download, context);
    if (found == model) return;
    model = std::move(found);
    input = quantize::load_plan_input(model, &checkpoint, {.pre_tokenizer = options.pre_tokenizer});
  };
  if (!options.preset.empty()) {
    open(hub::Need::kHeaders);
    add_preset_recipes(options, input, recipes);
    if (options.output_name.empty()) check();
  }
  const std::optional<io::Imatrix> given = given_matrix(options);
  const auto threads = std::make_shared<const TaskPool>(options.threads);
  const TaskPool& pool = *threads;
  const kernels::KernelTable& kernels = chosen_kernels(options.kernels);
  const auto target = size_target(options);
  // Types are chosen by what the weights are.
  open(options.dry_run && !target ? hub::Need::kHeaders : hub::Need::kAll);
  log_opened(*checkpoint);
  if (!options.output_name.empty()) {
    name_outputs(options, input, recipes.recipes);
    check();
  }
  std::optional<UsedMatrix> matrix;
  if (given) matrix = use_matrix(*given, options.imatrix, input.config, recipes.recipes);
  const bool measures = expects_own_matrix(options, input.config, recipes.recipes);
  std::vector<std::string> chosen;
  const auto make_plan = [&] {
    chosen.clear();
    if (target) {
      quantize::SampledLoss losses(*checkpoint, kernels, matrix ? &matrix->importance : nullptr);
      for (quantize::Recipe& recipe : recipes.recipes) {
        chosen.push_back(quantize::meet_target(input, *target, losses, pool, recipe));
      }
    }
    return quantize::make_plan(input, recipes.recipes, pool.threads());
  };
  quantize::Plan plan = make_plan();
  for (const std::string& note : recipes.notes) context.progress->note(note);
  for (const std::string& note : plan.notes) context.progress->note(note);
  if (options.dry_run) {
    tell_missing_matrix(plan, recipes.recipes, options.model, *context.progress);
  } else {
    require_matrix(plan, recipes.recipes, options.model);
  }
  const OutputOptions output{.replace = options.force};
  check_outputs(plan, output, input, recipes.recipes);
  if (measures && !options.dry_run) {
    matrix = own_matrix(model, options, kernels, context, recipes.recipes);
    plan = make_plan();
  }
  for (const std::string& note : chosen) context.progress->note(note);
  if (matrix) tell_matrix(*matrix, *context.progress);
  input = {};  // the tokenizer is in the plan now
  const auto write_page = [&](const Outcome& outcome) {
    if (!page.is_wanted()) return;
    runtime::EngineOptions how;
    how.pool = threads;
    how.kernels = &kernels;
    page.write(outcome.document, bench::machine_json(how, 0, load_before, PAJAMAS_VERSION));
  };
  if (options.dry_run) return write_page(print_dry_run(plan, matrix, options));
  const double started = seconds_now();
  std::optional<quantize::MeasuredEncoders> encoders;
  if (matrix) encoders.emplace(matrix->importance, *checkpoint, kernels);
  quantize::execute(
      plan, *checkpoint, pool, *context.progress, context.stop,
      {.output = output, .kernels = &kernels, .encoders = encoders ? &*encoders : nullptr});
  write_page(print_done(plan, matrix, options, context,
                        model::parameter_count(checkpoint->config()), seconds_now() - started));
}

}  // namespace

void add_quantize(const Command& app, Context& context) {
  const Command command =
      app.add_command("quantize", "Write a checkpoint as GGUF, MLX, FP8 or several");
  auto options = std::make_shared<QuantizeFlags>();
  command
      .add_option("MODEL", options->model,
                  "Hugging Face directory (config.json, safetensors), or owner/name of the hub")
      .required()
      .type_name("");
  add_quantize_options(command, *options);
  command
      .add_option("-o,--output", options->output,
                  "One output: its path. Several, or --output-name: the folder for them")
      .required()
      .type_name("PATH");
  add_kernels_option(command, options->kernels);
  command.add_flag("--dry-run", options->dry_run,
                   "Print the plan and check the disk; write nothing");
  add_report_option(command, options->page);
  command.add_flag("--force", options->force, "Replace an existing output, and file of --report");
  command.add_flag("--json", options->json, "Print what was written as JSON");
  command.footer(
      "Example: both formats in one pass\n"
      "  llama-pajamas quantize models/tiny-qwen2 --format gguf,mlx --method Q4_K_M:4bit "
      "--output out\n"
      "Example: without choosing a method\n"
      "  llama-pajamas quantize models/tiny-qwen2 --preset balanced --output tiny\n"
      "Example: for vLLM, SGLang and transformers\n"
      "  llama-pajamas quantize models/tiny-qwen2 --format fp8 --output qwen-fp8\n"
      "Example: a model of the hub, in two sizes\n"
      "  llama-pajamas quantize Qwen/Qwen2.5-0.5B-Instruct --method Q4_K_M,Q8_0 --output qwen\n"
      "Example: as models are published, in one pass\n"
      "  llama-pajamas quantize Qwen/Qwen2.5-7B-Instruct --method Q8_0,Q6_K,Q4_K_M,IQ4_NL "
      "--output-name '{name}-{method}.gguf' --split-size 50GB --output qwen");
  command.callback([options, &context] { run_quantize(*options, context); });
}

}  // namespace pajamas::cli
