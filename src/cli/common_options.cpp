#include "cli/common_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string_view>

#include "base/error.h"
#include "cli/whole_number.h"

namespace pajamas::cli {
namespace {

constexpr const char* kGroup = "Messages";
constexpr const char* kJson = "--json";

void add_to(CLI::App& command, CommonOptions& options) {
  command.add_flag("-q,--quiet", options.quiet, "Say nothing but results and errors")
      ->group(kGroup);
  command.add_flag("-v,--verbose", options.verbose, "Say more: settings, files, kernels, times")
      ->group(kGroup);
  if (command.get_option_no_throw(kJson) == nullptr) {
    command
        .add_flag(kJson, options.json,
                  "Messages as one JSON object a line, and a report as JSON where there is one")
        ->group(kGroup);
  }
  command
      .add_option("--colour,--color", options.colour,
                  "auto, always or never (default: the setting colour, else auto: on terminals)")
      ->group(kGroup)
      ->type_name("WHEN");
  command
      .add_option("--profile", options.profile,
                  "Settings of [profile.NAME] in config.toml (default: LLAMA_PAJAMAS_PROFILE)")
      ->group(kGroup)
      ->type_name("NAME");
}

// Options of this kind of value are told from others by what the help calls it.
void check_whole_numbers(CLI::App& command) {
  for (CLI::Option* option : command.get_options()) {
    const std::string type = option->get_type_name();
    if (type != "N" && type != "BITS") continue;
    const std::string name = option->get_name();
    option->transform(whole_number(name, name == "--seed"));
  }
}

// As if the command line had said so.
void give(CLI::Option& option, const std::string& value) {
  option.add_result(value);
  option.run_callback();
}

}  // namespace

void add_common_options(CLI::App& app, CommonOptions& options) {
  for (CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    add_to(*command, options);
    check_whole_numbers(*command);
  }
  add_to(app, options);
}

LogStyle scan_log_style(int argc, const char* const* argv, ColourMode colour) {
  LogStyle style;
  style.colour = colour;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--") break;
    if (argument == "--json") style.json = true;
    if (argument == "--quiet" || argument == "-q") style.quiet = true;
  }
  return style;
}

LogStyle chosen_log_style(CLI::App& app, const CommonOptions& options, const Settings& settings) {
  LogStyle style{options.quiet, options.verbose, options.json, settings.colour()};
  CLI::Option* own = nullptr;
  if (CLI::App* command = parsed_command(app)) own = command->get_option_no_throw(kJson);
  if (own != nullptr && own->count() > 0) style.json = true;
  if (own != nullptr && own->count() == 0 && style.json) give(*own, "true");
  if (!options.colour.empty()) {
    with_context("--colour", [&] { style.colour = parse_colour(options.colour); });
  }
  if (style.quiet && style.verbose) {
    throw Error(ErrorCode::kUsage, "--quiet and --verbose contradict each other", "give one");
  }
  return style;
}

void apply_settings(CLI::App& command, Settings& settings) {
  const auto fill = [&](const char* option_name, SettingKey key) {
    CLI::Option* option = command.get_option_no_throw(option_name);
    if (option == nullptr) return;
    if (option->count() > 0) {
      settings.override_by_flag(key, option->results().back(), option_name);
    } else if (settings.is_set(key)) {
      give(*option, settings.get(key).value);
    }
  };
  fill("--threads", SettingKey::kThreads);
  fill("--kernels", SettingKey::kKernels);
  const std::string name = command.get_name();
  if (name == "validate") fill("--text", SettingKey::kText);
  const bool runs = name == "run" || name == "chat";
  if (runs) {
    fill("--temperature", SettingKey::kTemperature);
    fill("--system", SettingKey::kSystem);
  }
  // Of `validate` these are what is measured.
  if (runs || name == "doctor" || name == "plan") {
    fill("--ctx", SettingKey::kContext);
    fill("--kv-cache", SettingKey::kKvCache);
  }
}

CLI::App* parsed_command(const CLI::App& app) {
  const auto commands = const_cast<CLI::App&>(app).get_subcommands();
  return commands.empty() ? nullptr : commands.back();
}

}  // namespace pajamas::cli
