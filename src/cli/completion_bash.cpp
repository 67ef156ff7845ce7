#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/completion.h"
#include "cli/manual.h"

namespace pajamas::cli {
namespace {

std::vector<std::string> spellings_of(const Option& option, bool with_short) {
  std::vector<std::string> names;
  for (const std::string& name : option.long_names()) names.push_back("--" + name);
  if (!with_short) return names;
  for (const std::string& name : option.short_names()) names.push_back("-" + name);
  return names;
}

std::string option_words(const Command& command) {
  std::vector<std::string> names;
  for (const Option& option : visible_options(command)) {
    for (std::string& name : spellings_of(option, false)) names.push_back(std::move(name));
  }
  return fmt::format("{}", fmt::join(names, " "));
}

// Options with values, as branches of a `case` over the word before.
std::string value_cases(const Command& app, const Command& command) {
  std::string cases;
  for (const Option& option : visible_options(command)) {
    if (!option.has_name() || !option.takes_value()) continue;
    const Values values = values_of(app, option);
    const std::string pattern = fmt::format("{}", fmt::join(spellings_of(option, true), "|"));
    if (values.kind == Values::Kind::kWords) {
      cases += fmt::format("        {}) values=\"{}\"{} ;;\n", pattern,
                           fmt::join(values.words, " "), values.list ? " list=1" : "");
    } else {
      cases += fmt::format("        {}) kind={} ;;\n", pattern,
                           values.kind == Values::Kind::kFiles ? "files" : "none");
    }
  }
  return cases.empty() ? "" : fmt::format("\n      case \"$before\" in\n{}      esac", cases);
}

// What stands where no option does.
std::string argument_words(const Command& app, const Command& command) {
  for (const Option& option : visible_options(command)) {
    if (!option.has_place()) continue;
    const Values values = values_of(app, option);
    if (values.kind == Values::Kind::kWords) {
      return fmt::format("{}", fmt::join(values.words, " "));
    }
  }
  return {};
}

}  // namespace

std::string bash_completion(const Command& app) {
  std::vector<std::string> commands;
  std::string branches, global_with_value;
  for (const Option& option : visible_options(app)) {
    if (!option.takes_value()) continue;
    for (const std::string& name : spellings_of(option, true)) {
      global_with_value += fmt::format("{}{}", global_with_value.empty() ? "" : "|", name);
    }
  }
  for (const Command& command : app.commands()) {
    commands.push_back(command.name());
    branches +=
        fmt::format("    {})\n      options=\"{}\" arguments=\"{}\"{} ;;\n", command.name(),
                    option_words(command), argument_words(app, command), value_cases(app, command));
  }
  return fmt::format(
      R"(_llama_pajamas() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" at=$((COMP_CWORD - 1)) i
  local command="" before="" options="" arguments="" values="" list="" kind="" prefix=""
  COMPREPLY=()
  # The first word that is neither an option nor the value of one.
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "${{COMP_WORDS[i]}}" in
      {0}) [ "${{COMP_WORDS[i + 1]}}" != "=" ] || ((i++)); ((i++)) ;;
      -* | = | :) ;;
      *) command="${{COMP_WORDS[i]}}"; break ;;
    esac
  done
  # Bash takes --option=value and value:value apart.
  if [[ "$current" == [=:] ]]; then
    current=""
    at=$COMP_CWORD
  fi
  while [ "$at" -gt 1 ] && [ "${{COMP_WORDS[at]}}" = ":" ]; do at=$((at - 2)); done
  [ "${{COMP_WORDS[at]}}" != "=" ] || at=$((at - 1))
  before="${{COMP_WORDS[at]}}"
  case "$command" in
    "")
      options="{1}" arguments="{2} {1}"{3} ;;
{4}  esac
  if [ -n "$values" ]; then
    if [ -n "$list" ]; then
      compopt -o nospace 2>/dev/null
      [[ "$current" != *,* ]] || prefix="${{current%,*}},"
    fi
    COMPREPLY=($(compgen -P "$prefix" -W "$values" -- "${{current#"$prefix"}}"))
  elif [ "$kind" = none ]; then
    return
  elif [ -z "$kind" ] && [[ "$current" == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  elif [ -z "$kind" ] && [ -n "$arguments" ]; then
    COMPREPLY=($(compgen -W "$arguments" -- "$current"))
  else
    compopt -o default 2>/dev/null
  fi
}}
complete -F _llama_pajamas llama-pajamas
)",
      global_with_value, option_words(app), fmt::join(commands, " "), value_cases(app, app),
      branches);
}

}  // namespace pajamas::cli
