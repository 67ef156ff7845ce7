#include "cli/common_options.h"

#include <fmt/format.h>

#include <optional>
#include <string_view>

#include "base/error.h"
#include "cli/whole_number.h"

namespace pajamas::cli {
namespace {

constexpr const char* kGroup = "Messages";
constexpr const char* kJson = "--json";

void add_to(const Command& command, CommonOptions& options) {
  command.add_flag("-q,--quiet", options.quiet, "Say nothing but results and errors").group(kGroup);
  command.add_flag("-v,--verbose", options.verbose, "Say more: settings, files, kernels, times")
      .group(kGroup);
  if (!command.find_option(kJson)) {
    command
        .add_flag(kJson, options.json,
                  "Messages as one JSON object a line, and a report as JSON where there is one")
        .group(kGroup);
  }
  command
      .add_option("--colour,--color", options.colour,
                  "auto, always or never (default: the setting colour, else auto: on terminals)")
      .group(kGroup)
      .type_name("WHEN");
  command
      .add_option("--profile", options.profile,
                  "Settings of [profile.NAME] in config.toml (default: LLAMA_PAJAMAS_PROFILE)")
      .group(kGroup)
      .type_name("NAME");
}

// Options of this kind of value are told from others by what the help calls it.
void check_whole_numbers(const Command& command) {
  for (const Option& option : command.options()) {
    const std::string type = option.type();
    if (type != "N" && type != "BITS") continue;
    const std::string name = option.name();
    option.transform(
        [name](const std::string& text) { return whole_number(text, name, name == "--seed"); });
  }
}

}  // namespace

void add_common_options(const Command& app, CommonOptions& options) {
  for (const Command& command : app.commands()) {
    add_to(command, options);
    check_whole_numbers(command);
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

LogStyle chosen_log_style(const Command& app, const CommonOptions& options,
                          const Settings& settings) {
  LogStyle style{options.quiet, options.verbose, options.json, settings.colour()};
  std::optional<Option> own;
  if (const auto command = app.given_command()) own = command->find_option(kJson);
  if (own && own->given()) style.json = true;
  if (own && !own->given() && style.json) own->give("true");
  if (!options.colour.empty()) {
    with_context("--colour", [&] { style.colour = parse_colour(options.colour); });
  }
  if (style.quiet && style.verbose) {
    throw Error(ErrorCode::kUsage, "--quiet and --verbose contradict each other", "give one");
  }
  return style;
}

void apply_settings(const Command& command, Settings& settings) {
  const auto fill = [&](const char* option_name, SettingKey key) {
    const std::optional<Option> option = command.find_option(option_name);
    if (!option) return;
    if (option->given()) {
      settings.override_by_flag(key, option->last_value(), option_name);
    } else if (settings.is_set(key)) {
      option->give(settings.get(key).value);
    }
  };
  fill("--threads", SettingKey::kThreads);
  fill("--kernels", SettingKey::kKernels);
  const std::string name = command.name();
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
}  // namespace pajamas::cli
