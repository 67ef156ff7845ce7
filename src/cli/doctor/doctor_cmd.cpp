// `doctor`: what the machine has, what is set, and what to expect of it.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/command.h"
#include "cli/doctor/report.h"
#include "cli/engine_options.h"

namespace pajamas::cli {
namespace {

struct DoctorFlags {
  bool no_measure = false;
  std::int64_t context = 4096;
  EngineFlags engine;
  bool json = false;
};

void run_doctor(const DoctorFlags& options, Context& context) {
  const std::uint64_t positions =
      checked_context(options.context, 1, "give the number of tokens that a cache is to hold");
  DoctorQuestion question{!options.no_measure, engine_options(options.engine)};
  question.engine.context = positions;
  const nlohmann::ordered_json report =
      examine(question, context.settings, *context.progress, context.stop);
  if (options.json) {
    fmt::print("{}\n", report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    print_report(report);
  }
  // The other commands would refuse to work with these.
  if (context.settings.fault()) throw Error(*context.settings.fault());
}

}  // namespace

void add_doctor(const Command& app, Context& context) {
  const Command command =
      app.add_command("doctor", "Show the machine, the settings, and what to expect");
  auto options = std::make_shared<DoctorFlags>();
  command.add_flag("--no-measure", options->no_measure,
                   "Do not measure memory and disks, which takes some seconds");
  command.add_option("--ctx", options->context, "Tokens that models are to have room for")
      .capture_default_str()
      .type_name("N");
  add_kv_cache_option(command, options->engine.kv_cache,
                      "the setting kv_cache, else " + options->engine.kv_cache);
  add_threads_option(command, options->engine.threads);
  add_kernels_option(command, options->engine.kernels);
  command.add_flag("--json", options->json, "Print JSON");
  command.footer(
      "Disks are measured with a file of 256 MiB in the current folder, which is gone afterwards.\n"
      "Example: with a cache as small as can be\n"
      "  llama-pajamas doctor --ctx 32768 --kv-cache q4_0");
  command.callback([options, &context] { run_doctor(*options, context); });
}

}  // namespace pajamas::cli
