#include "cli/manual.h"

#include <fmt/format.h>

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

std::string full_name(const Command& app, const std::optional<Command>& command,
                      std::string_view between) {
  return command ? fmt::format("{}{}{}", app.name(), between, command->name()) : app.name();
}

// "\fB-q\fR, \fB--quiet\fR" and the name of a value, if it takes one.
std::string option_names(const Option& option) {
  std::string names;
  const auto add = [&](std::string_view dashes, const std::string& name) {
    names += fmt::format("{}\\fB{}\\fR", names.empty() ? "" : ", ",
                         roff_text(std::string(dashes) + name));
  };
  for (const std::string& name : option.short_names()) add("-", name);
  for (const std::string& name : option.long_names()) add("--", name);
  const std::string type = option.type();
  if (!type.empty() && option.takes_value()) {
    names += fmt::format(" \\fI{}\\fR", roff_text(type));
  }
  return names;
}

std::string described(std::string_view term, std::string_view text) {
  return fmt::format(".TP\n{}\n{}\n", term, roff_text(text));
}

std::string option_text(const Option& option) {
  std::string text = option.description();
  if (option.is_required()) text += " (required)";
  if (!option.default_text().empty()) {
    text += fmt::format(" (default: {})", option.default_text());
  }
  return text;
}

bool is_help(const Option& option) { return option.is("help"); }

std::string synopsis(const Command& app, const std::optional<Command>& command) {
  std::string line = fmt::format("\\fB{}\\fR", roff_text(full_name(app, command, " ")));
  if (!command) return line + " \\fICOMMAND\\fR [\\fIOPTIONS\\fR]";
  for (const Option& option : visible_options(*command)) {
    if (!option.has_place()) continue;
    const std::string name = roff_text(option.place_name());
    line += option.is_required() ? fmt::format(" \\fI{}\\fR", name)
                                 : fmt::format(" [\\fI{}\\fR]", name);
  }
  return line + " [\\fIOPTIONS\\fR]";
}

std::string options_section(const Command& command) {
  std::string text = ".SH OPTIONS\n";
  for (const Option& option : visible_options(command)) {
    // One may be given in either way.
    if (option.has_place()) {
      text +=
          described(fmt::format("\\fI{}\\fR", roff_text(option.place_name())), option_text(option));
    }
    if (option.has_name()) {
      text += described(option_names(option),
                        is_help(option) ? "Print help and exit" : option_text(option));
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
  text += described(fmt::format("\\fB{}\\fR", kGateStatus), "A rule of --gate does not hold.");
  return text;
}

std::string see_also(const Command& app, const std::optional<Command>& command) {
  std::vector<std::string> pages;
  const auto add = [&](const std::optional<Command>& other) {
    pages.push_back(fmt::format(".BR {} (1)", roff_text(full_name(app, other, "-"))));
  };
  if (command) add(std::nullopt);
  if (!command) {
    for (const Command& other : app.commands()) add(other);
  }
  std::string text = ".SH SEE ALSO\n";
  for (std::size_t i = 0; i < pages.size(); ++i) {
    text += pages[i] + (i + 1 < pages.size() ? " ,\n" : "\n");
  }
  return text;
}

}  // namespace

std::vector<Option> visible_options(const Command& command) {
  std::vector<Option> options = command.options();
  std::erase_if(options, [](const Option& option) { return option.is_hidden(); });
  return options;
}

std::string roff_text(std::string_view text) {
  std::string out;
  bool line_start = true;
  char before = ' ';
  for (const char c : text) {
    // At the start of a line these two are requests.
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    line_start = c == '\n';
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      // What can be copied into a shell: an option is not cut at a syllable.
      const bool begins_word = std::string_view(" (`'\n").find(before) != std::string_view::npos;
      out += begins_word ? "\\%\\-" : "\\-";
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
    before = c;
  }
  return out;
}

std::string manual_page_name(const Command& app, const std::optional<Command>& command) {
  return full_name(app, command, "-") + ".1";
}

std::string manual_page(const Command& app, const std::optional<Command>& command) {
  const Command described_app = command.value_or(app);
  std::string text = fmt::format(
      ".\\\" Made by `{} man`; do not edit.\n.TH {} 1 \"\" \"{} {}\" \"User Commands\"\n",
      app.name(), upper(roff_text(full_name(app, command, "-"))), roff_text(app.name()),
      PAJAMAS_VERSION);
  std::string summary = described_app.description();
  if (summary.ends_with('.')) summary.pop_back();
  text += fmt::format(".SH NAME\n{} \\- {}\n.SH SYNOPSIS\n{}\n",
                      roff_text(full_name(app, command, "-")), roff_text(summary),
                      synopsis(app, command));
  if (!command) {
    text += ".SH COMMANDS\n";
    for (const Command& each : app.commands()) {
      text +=
          described(fmt::format("\\fB{}\\fR", roff_text(each.name())), each.description() + ".");
    }
  }
  text += options_section(described_app);
  if (!command) text += environment_section() + files_section() + status_section();
  if (const std::string footer = described_app.footer(); !footer.empty()) {
    text += ".SH EXAMPLES\n" + footer_section(footer);
  }
  return text + see_also(app, command);
}

}  // namespace pajamas::cli
