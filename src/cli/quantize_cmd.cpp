// `quantize`: checkpoint in, GGUF and MLX out, in one pass.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/output.h"
#include "base/system.h"
#include "cli/expectation.h"
#include "cli/log.h"
#include "cli/model_argument.h"
#include "cli/open_engine.h"
#include "cli/quantize_options.h"
#include "cli/terminal.h"
#include "quantize/execute.h"

namespace pajamas::cli {
namespace {

struct Options : QuantizeOptions {
  bool dry_run = false;
  bool force = false;
  std::string kernels;
};

// A GGUF output is a file; a folder's name is a mistake that --force must not turn into a loss.
// What would fail at the end of a download fails before it.
void check_output(const Options& options, const quantize::Recipe& recipe) {
  std::error_code code;
  const bool gguf = recipe.format == quantize::Format::kGguf;
  if (!gguf || !std::filesystem::is_directory(recipe.output, code)) {
    require_absent(recipe.output, {.replace = options.force},
                   gguf ? OutputKind::kFile : OutputKind::kDirectory);
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
    if (error.code() != ErrorCode::kNoSpace) throw;
    const std::string fitting =
        methods_that_fit(input, recipes, free_disk_bytes(plan.outputs.front().path));
    if (fitting.empty()) throw;
    throw Error(error.code(), error.problem(),
                fmt::format("try {}, another --output, or free some space", fitting))
        .at(error.place());
  }
}

void run_quantize(const Options& options, Context& context) {
  const Recipes recipes = recipes_of(options);
  for (const quantize::Recipe& recipe : recipes.recipes) check_output(options, recipe);
  const TaskPool pool(options.threads);
  const kernels::KernelTable& kernels = chosen_kernels(options.kernels);
  const hub::Need need = options.dry_run ? hub::Need::kHeaders : hub::Need::kAll;
  const std::string model = local_model(options.model, need, options.no_download, context);
  std::optional<model::Checkpoint> checkpoint;
  quantize::PlanInput input =
      quantize::load_plan_input(model, &checkpoint, {.pre_tokenizer = options.pre_tokenizer});
  log_opened(*checkpoint);
  const quantize::Plan plan = quantize::make_plan(input, recipes.recipes, pool.threads());
  for (const std::string& note : recipes.notes) context.progress->note(note);
  for (const std::string& note : plan.notes) context.progress->note(note);
  const OutputOptions output{.replace = options.force};
  check_outputs(plan, output, input, recipes.recipes);
  input = {};  // the tokenizer is in the plan now
  if (options.dry_run) {
    print_tensors(plan);
    print_summary(plan);
    fmt::print("peak memory: at most {}; nothing was written\n",
               readable_bytes(plan.peak_memory_bytes));
    return;
  }
  const double started = seconds_now();
  quantize::execute(plan, *checkpoint, pool, *context.progress, context.stop,
                    {.output = output, .kernels = &kernels});
  print_summary(plan);
  const std::uint64_t parameters = model::parameter_count(checkpoint->config());
  const double seconds = seconds_now() - started;
  log_info(
      fmt::format("{} weights in {} ({:.0f} million/s), peak memory {}", with_thousands(parameters),
                  readable_seconds(seconds), static_cast<double>(parameters) / seconds / 1e6,
                  readable_bytes(peak_resident_bytes())),
      {{"weights", parameters},
       {"seconds", seconds},
       {"peak_memory_bytes", peak_resident_bytes()}});
}

}  // namespace

void add_quantize(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("quantize", "Write a checkpoint as GGUF, MLX or both");
  auto options = std::make_shared<Options>();
  command
      ->add_option("MODEL", options->model,
                   "Hugging Face directory (config.json, safetensors), or owner/name of the hub")
      ->required()
      ->type_name("");
  add_quantize_options(*command, *options);
  command
      ->add_option("--output", options->output,
                   "One format: its path. Both: the folder for gguf/ and mlx/")
      ->required()
      ->type_name("PATH");
  add_kernels_option(*command, options->kernels);
  command->add_flag("--dry-run", options->dry_run,
                    "Print the plan and check the disk; write nothing");
  command->add_flag("--force", options->force, "Replace an existing output");
  command->footer(
      "Example: both formats in one pass\n"
      "  llama-pajamas quantize Qwen2.5-7B-Instruct --format gguf,mlx --method Q4_K_M:4bit "
      "--output out");
  command->callback([options, &context] { run_quantize(*options, context); });
}

}  // namespace pajamas::cli
