// llama-pajamas: the program. Parses, dispatches, and turns every failure into one line and an
// exit status.
#include <fmt/format.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <new>
#include <optional>
#include <span>
#include <system_error>

#include "base/error.h"
#include "base/json.h"
#include "base/system.h"
#include "cli/command.h"
#include "cli/common_options.h"
#include "cli/exit_status.h"
#include "cli/foreign_words.h"
#include "cli/front_page.h"
#include "cli/log.h"
#include "cli/process.h"
#include "cli/program.h"
#include "cli/settings.h"
#include "cli/terminal.h"

namespace {

using namespace pajamas;

int report(const Error& error) {
  cli::log_error(cli::with_hint(error));
  return cli::exit_status(error.code());
}

// Between parsing and the command: how it talks, and what was left to settings.
void prepare(const cli::Command& app, const cli::CommonOptions& options, cli::Context& context) {
  if (options.profile.empty()) {
    context.settings.choose_profile_of_environment();
  } else if (!context.settings.fault()) {
    context.settings.choose_profile(options.profile, "--profile");
  }
  cli::set_log_style(cli::chosen_log_style(app, options, context.settings));
  context.progress = cli::make_progress();
  const std::optional<cli::Command> command = app.given_command();
  if (!command) return;
  // What explains settings must work with wrong ones.
  const std::string name = command->name();
  const bool explains = name == "doctor" || name == "man" || name == "completion" ||
                        name == "help" || name == "version";
  if (context.settings.fault() && !explains) throw Error(*context.settings.fault());
  cli::apply_settings(*command, context.settings);
  if (!options.colour.empty()) {
    context.settings.override_by_flag(cli::SettingKey::kColour, options.colour, "--colour");
  }
  for (const cli::SettingInfo& setting : cli::kSettings) {
    const cli::Setting& chosen = context.settings.get(setting.key);
    if (chosen.value.empty()) continue;
    cli::log_detail(fmt::format("setting {}: {} ({})", setting.name, printable(chosen.value, 200),
                                chosen.source));
  }
}

int run(int argc, char** argv) {
  const double began = seconds_now();
  cli::Context context{.stop = cli::install_signal_handlers()};
  context.settings = cli::Settings::load(cli::process_environment());
  cli::set_log_style(cli::scan_log_style(argc, argv, context.settings.colour()));
  context.progress = cli::make_progress();
  cli::CommonOptions options;
  cli::Program program(
      "llama-pajamas", PAJAMAS_VERSION,
      "Quantize a language model to GGUF and MLX in one pass, run it, and measure what was lost.");
  const cli::Command app = program.root();
  app.footer(
      "Example: a model in both formats, and a question to it\n"
      "  llama-pajamas quantize Qwen/Qwen2.5-0.5B-Instruct --format gguf,mlx --method Q4_K_M:4bit "
      "--output out\n"
      "  llama-pajamas run out/gguf/model-q4_k_m.gguf --prompt \"Why is the sky blue?\"\n"
      "`llama-pajamas help COMMAND` explains one command.");
  cli::add_run(app, context);
  cli::add_chat(app, context);
  cli::add_quantize(app, context);
  cli::add_plan(app, context);
  cli::add_presets(app, context);
  cli::add_imatrix(app, context);
  cli::add_validate(app, context);
  cli::add_benchmark(app, context);
  cli::add_compare(app, context);
  cli::add_targets(app, context);
  cli::add_inspect(app, context);
  cli::add_tokenize(app, context);
  cli::add_card(app, context);
  cli::add_upload(app, context);
  cli::add_models(app, context);
  cli::add_doctor(app, context);
  cli::add_help(app, context);
  cli::add_version(app, context);
  cli::add_completion(app, context);
  cli::add_man(app, context);
  cli::add_common_options(app, options);
  if (argc > 0 && std::strchr(argv[0], '/') != nullptr) context.program = argv[0];
  context.arguments = {context.program};
  if (argc > 1) context.arguments.insert(context.arguments.end(), argv + 1, argv + argc);
  if (argc <= 1) {
    fmt::print("{}", cli::front_page(app, context.program));
    return 0;
  }
  const std::span<const char* const> arguments(argv + 1, static_cast<std::size_t>(argc - 1));
  if (const auto answer = cli::find_foreign_option(app, arguments)) return report(*answer);
  if (!program.run(argc, argv, [&] { prepare(app, options, context); })) return 0;
  cli::log_detail(fmt::format("all in {}, peak memory {}", readable_seconds(seconds_now() - began),
                              readable_bytes(peak_resident_bytes())));
  // A command that was done before it noticed the signal has been asked to end all the same.
  return cli::ending_signal() == 0 ? 0 : cli::exit_status(ErrorCode::kInterrupted);
}

int report_output_failure() {
  return cli::reader_is_gone() ? cli::kReaderGoneStatus : report(cli::output_error());
}

}  // namespace

int main(int argc, char** argv) {
  cli::open_standard_streams();
  try {
    const int status = run(argc, argv);
    const bool arrived = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
    return arrived ? status : report_output_failure();
  } catch (const cli::ReaderGone&) {
    return cli::kReaderGoneStatus;
  } catch (const cli::GateBroken& gate) {
    if (std::fflush(stdout) != 0) return report_output_failure();
    cli::log_note(gate.what());
    return cli::kGateStatus;
  } catch (const Error& error) {
    (void)std::fflush(stdout);
    return report(error);
  } catch (const std::bad_alloc&) {
    return report(Error(ErrorCode::kOutOfMemory, "not enough memory"));
  } catch (const std::filesystem::filesystem_error& error) {
    return report(
        Error(ErrorCode::kIo, error.code().message()).at(printable(error.path1().native(), 300)));
  } catch (const std::system_error& error) {
    if (std::ferror(stdout) != 0) return report_output_failure();  // from fmt::print
    return report(Error(ErrorCode::kIo, printable(error.what(), 200)));
  } catch (const std::exception& error) {
    return report(Error(ErrorCode::kInternal, json_fault(error)));
  }
}
