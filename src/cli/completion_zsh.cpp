#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>

#include "cli/completion.h"
#include "cli/manual.h"

namespace pajamas::cli {
namespace {

// Text between single quotes, and in the places where _arguments gives signs a meaning.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out;
}

std::string action(const Values& values, std::string_view what) {
  switch (values.kind) {
    case Values::Kind::kFiles:
      return "_files";
    case Values::Kind::kWords:
      return values.list ? fmt::format("_values -s , {} {}", what, fmt::join(values.words, " "))
                         : fmt::format("({})", fmt::join(values.words, " "));
    case Values::Kind::kNone:
      break;
  }
  return " ";
}

std::string argument_of(const CLI::App& app, const CLI::Option& option) {
  std::string name = option.get_type_name();
  if (name.empty()) name = option.get_name(option.get_positional());
  return fmt::format(":{}:{}", escaped(name), action(values_of(app, option), "value"));
}

// One specification of _arguments a spelling.
std::string specifications(const CLI::App& app, const CLI::App& command) {
  std::string text;
  int positional = 0;
  const auto add = [&](const std::string& specification) {
    text += fmt::format(" \\\n        '{}'", specification);
  };
  for (const CLI::Option* option : visible_options(command)) {
    const std::string what =
        option->check_lname("help") ? "Print help" : short_description(option->get_description());
    const bool value = takes_value(*option);
    const std::string argument = value ? argument_of(app, *option) : "";
    if (option->nonpositional()) {
      for (const std::string& name : option->get_lnames()) {
        add(fmt::format("*--{}{}[{}]{}", name, value ? "=" : "", escaped(what), argument));
      }
      for (const std::string& name : option->get_snames()) {
        add(fmt::format("*-{}{}[{}]{}", name, value ? "+" : "", escaped(what), argument));
      }
    }
    if (option->get_positional()) {
      const bool many = option->get_items_expected_max() > 1;
      add(fmt::format("{}{}", many ? "*" : fmt::format("{}", ++positional),
                      argument_of(app, *option)));
    }
  }
  return text;
}

}  // namespace

std::string zsh_completion(const CLI::App& app) {
  std::string commands, branches;
  for (const CLI::App* command : visible_commands(app)) {
    commands += fmt::format("        '{}:{}'\n", command->get_name(),
                            escaped(short_description(command->get_description())));
    branches += fmt::format("        {})\n          _arguments -s{} ;;\n", command->get_name(),
                            specifications(app, *command));
  }
  return fmt::format(
      R"(#compdef llama-pajamas
_llama_pajamas() {{
  local context state state_descr line
  typeset -A opt_args
  local -a commands
  _arguments -C -s{0} \
        '1:command:->command' '*::argument:->argument' && return 0
  case $state in
    command)
      commands=(
{1}      )
      _describe -t commands command commands ;;
    argument)
      case $words[1] in
{2}      esac ;;
  esac
}}
if [ "$funcstack[1]" = _llama_pajamas ]; then
  _llama_pajamas "$@"
else
  (( $+functions[compdef] )) || {{ autoload -Uz compinit && compinit; }}
  compdef _llama_pajamas llama-pajamas
fi
)",
      specifications(app, app), commands, branches);
}

}  // namespace pajamas::cli
