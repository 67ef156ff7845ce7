#include "cli/manual.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <string_view>

#include "cli/exit_status.h"
#include "cli/log.h"
#include "cli/settings.h"

namespace pajamas::cli {
namespace {

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

std::string full_name(const CLI::App& app, const CLI::App* command, std::string_view between) {
  return command == nullptr ? app.get_name()
                            : fmt::format("{}{}{}", app.get_name(), between, command->get_name());
}

// "\fB-q\fR, \fB--quiet\fR" and the name of a value, if it takes one.
std::string option_names(const CLI::Option& option) {
  std::string names;
  const auto add = [&](std::string_view dashes, const std::string& name) {
    names += fmt::format("{}\\fB{}\\fR", names.empty() ? "" : ", ",
                         roff_text(std::string(dashes) + name));
  };
  for (const std::string& name : option.get_snames()) add("-", name);
  for (const std::string& name : option.get_lnames()) add("--", name);
  const std::string type = option.get_type_name();
  if (!type.empty() && option.get_expected_max() > 0) {
    names += fmt::format(" \\fI{}\\fR", roff_text(type));
  }
  return names;
}

std::string described(std::string_view term, std::string_view text) {
  return fmt::format(".TP\n{}\n{}\n", term, roff_text(text));
}

std::string option_text(const CLI::Option& option) {
  std::string text = option.get_description();
  if (option.get_required()) text += " (required)";
  if (!option.get_default_str().empty()) {
    text += fmt::format(" (default: {})", option.get_default_str());
  }
  return text;
}

bool is_help(const CLI::Option& option) { return option.check_lname("help"); }

std::string synopsis(const CLI::App& app, const CLI::App* command) {
  std::string line = fmt::format("\\fB{}\\fR", roff_text(full_name(app, command, " ")));
  if (command == nullptr) return line + " \\fICOMMAND\\fR [\\fIOPTIONS\\fR]";
  for (const CLI::Option* option : visible_options(*command)) {
    if (!option->get_positional()) continue;
    const std::string name = roff_text(option->get_name(true));
    line += option->get_required() ? fmt::format(" \\fI{}\\fR", name)
                                   : fmt::format(" [\\fI{}\\fR]", name);
  }
  return line + " [\\fIOPTIONS\\fR]";
}

std::string options_section(const CLI::App& command) {
  std::string text = ".SH OPTIONS\n";
  for (const CLI::Option* option : visible_options(command)) {
    // One may be given in either way.
    if (option->get_positional()) {
      text += described(fmt::format("\\fI{}\\fR", roff_text(option->get_name(true))),
                        option_text(*option));
    }
    if (option->nonpositional()) {
      text += described(option_names(*option),
                        is_help(*option) ? "Print help and exit" : option_text(*option));
    }
  }
  return text;
}

// Lines that begin with spaces are commands; others are sentences.
std::string footer_section(std::string_view footer) {
  std::string text;
  bool code = false;
  while (!footer.empty()) {
    const auto end = footer.find('\n');
    std::string_view line = footer.substr(0, end);
    footer = end == std::string_view::npos ? "" : footer.substr(end + 1);
    const auto start = line.find_first_not_of(' ');
    if (start == std::string_view::npos) continue;
    if (line.starts_with("Example") && !text.empty()) text += ".PP\n";
    if ((start > 0) != code) {
      text += code ? ".fi\n.RE\n" : ".RS 4\n.nf\n";
      code = !code;
    }
    text += roff_text(line.substr(start)) + "\n";
  }
  return text + (code ? ".fi\n.RE\n" : "");
}

std::string environment_section() {
  std::string text = ".SH ENVIRONMENT\n";
  const auto add = [&](std::string_view name, std::string_view what) {
    text += described(fmt::format("\\fB{}\\fR", name), what);
  };
  for (const SettingInfo& setting : kSettings) {
    add(setting.variable, fmt::format("The setting {}: {}", setting.name, setting.help));
  }
  add(kConfigVariable, "The file of settings to read instead of config.toml; empty: none");
  add(kProfileVariable, "The profile of the file to use, as --profile does");
  add("NO_COLOR", "Where not empty: no colours");
  add("CLICOLOR_FORCE", "Where neither empty nor 0: colours everywhere");
  return text;
}

std::string files_section() {
  std::string text = ".SH FILES\n";
  std::string keys;
  for (const SettingInfo& setting : kSettings) {
    keys += fmt::format("{}{}", keys.empty() ? "" : ", ", setting.name);
  }
  text += described("\\fI$XDG_CONFIG_HOME/llama\\-pajamas/config.toml\\fR",
                    fmt::format("Settings, in TOML: {}. Environment variables are stronger, and "
                                "options stronger still.",
                                keys));
  return text;
}

std::string status_section() {
  std::string text = ".SH EXIT STATUS\n" + described("\\fB0\\fR", "Success.");
  for (int i = 0; i < static_cast<int>(ErrorCode::kCount); ++i) {
    const auto code = static_cast<ErrorCode>(i);
    std::string name(error_kind(code).name);
    std::replace(name.begin(), name.end(), '_', ' ');
    text +=
        described(fmt::format("\\fB{}\\fR", exit_status(code)), fmt::format("Error: {}.", name));
  }
  return text;
}

std::string see_also(const CLI::App& app, const CLI::App* command) {
  std::vector<std::string> pages;
  const auto add = [&](const CLI::App* other) {
    pages.push_back(fmt::format(".BR {} (1)", roff_text(full_name(app, other, "-"))));
  };
  if (command != nullptr) add(nullptr);
  if (command == nullptr) {
    for (const CLI::App* other : visible_commands(app)) add(other);
  }
  std::string text = ".SH SEE ALSO\n";
  for (std::size_t i = 0; i < pages.size(); ++i) {
    text += pages[i] + (i + 1 < pages.size() ? " ,\n" : "\n");
  }
  return text;
}

}  // namespace

std::vector<const CLI::App*> visible_commands(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* command) { return !command->get_group().empty(); });
}

std::vector<const CLI::Option*> visible_options(const CLI::App& command) {
  return command.get_options(
      [](const CLI::Option* option) { return !option->get_group().empty(); });
}

std::string roff_text(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    // At the start of a line these two are requests.
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    line_start = c == '\n';
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";  // what can be copied into a shell
    } else if (c == '\'') {
      out += "\\(aq";
    } else if (c == '`') {
      out += "\\(ga";
    } else if (c == '~') {
      out += "\\(ti";
    } else if (c == '^') {
      out += "\\(ha";
    } else {
      out += c;
    }
  }
  return out;
}

std::string manual_page_name(const CLI::App& app, const CLI::App* command) {
  return full_name(app, command, "-") + ".1";
}

std::string manual_page(const CLI::App& app, const CLI::App* command) {
  const CLI::App& described_app = command == nullptr ? app : *command;
  std::string text = fmt::format(
      ".\\\" Made by `{} man`; do not edit.\n.TH {} 1 \"\" \"{} {}\" \"User Commands\"\n",
      app.get_name(), upper(roff_text(full_name(app, command, "-"))), roff_text(app.get_name()),
      PAJAMAS_VERSION);
  std::string summary = described_app.get_description();
  if (summary.ends_with('.')) summary.pop_back();
  text += fmt::format(".SH NAME\n{} \\- {}\n.SH SYNOPSIS\n{}\n",
                      roff_text(full_name(app, command, "-")), roff_text(summary),
                      synopsis(app, command));
  if (command == nullptr) {
    text += ".SH COMMANDS\n";
    for (const CLI::App* each : visible_commands(app)) {
      text += described(fmt::format("\\fB{}\\fR", roff_text(each->get_name())),
                        each->get_description() + ".");
    }
  }
  text += options_section(described_app);
  if (command == nullptr) text += environment_section() + files_section() + status_section();
  if (const std::string& footer = described_app.get_footer(); !footer.empty()) {
    text += ".SH EXAMPLES\n" + footer_section(footer);
  }
  return text + see_also(app, command);
}

}  // namespace pajamas::cli
