// `plan`: what `quantize` would write, to the byte, without reading a weight.
#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "cli/quantize_options.h"
#include "cli/terminal.h"
#include "quantize/plan.h"

namespace pajamas::cli {
namespace {

struct Options : QuantizeOptions {
  bool json = false;
  bool ignored = false;  // flags of quantize that mean nothing here
};

quantize::PlanInput load(const Options& options) {
  if (options.model.empty() == options.config.empty()) {
    throw Error(ErrorCode::kUsage, "needs a MODEL or --config FILE, and not both",
                "see `llama-pajamas plan --help`");
  }
  return options.model.empty() ? quantize::load_plan_input_from_config(options.config)
                               : quantize::load_plan_input(options.model, nullptr);
}

void run_plan(const Options& options, Context& context) {
  const Recipes recipes = recipes_of(options);
  const TaskPool pool(options.threads);  // refuses what quantize would refuse
  const quantize::Plan plan = quantize::make_plan(load(options), recipes.recipes, pool.threads());
  for (const std::string& note : recipes.notes) context.progress->note(note);
  if (options.json) {
    fmt::print("{}\n", quantize::to_json(plan).dump(2));
    return;
  }
  for (const std::string& note : plan.notes) context.progress->note(note);
  print_tensors(plan);
  print_summary(plan);
  fmt::print("peak memory: at most {}\n", readable_bytes(plan.peak_memory_bytes));
}

}  // namespace

void add_plan(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("plan", "Print what quantize would write, and why");
  auto options = std::make_shared<Options>();
  options->output = "out";
  command->add_option("MODEL", options->model, "Hugging Face directory; its weights are not read")
      ->type_name("");
  command->add_option("--config", options->config, "Plan from this config.json alone")
      ->type_name("FILE");
  add_quantize_options(*command, *options);
  command->add_option("--output", options->output, "As for quantize; only its name is used")
      ->capture_default_str()
      ->type_name("PATH");
  // Accepted so that a quantize command line can be planned as it stands.
  command->add_flag("--dry-run", options->ignored, "No effect: plan never writes");
  command->add_flag("--force", options->ignored, "No effect: plan never writes");
  command->add_flag("--json", options->json, "Print JSON");
  command->footer(
      "Example: the size of a 7B model before downloading it\n"
      "  llama-pajamas plan --config config.json --method Q4_K_M");
  command->callback([options, &context] { run_plan(*options, context); });
}

}  // namespace pajamas::cli
