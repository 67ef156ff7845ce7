#include <fmt/format.h>
#include <fmt/ranges.h>

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

std::string argument_of(const Command& app, const Option& option) {
  std::string name = option.type();
  if (name.empty()) name = option.shown_name();
  return fmt::format(":{}:{}", escaped(name), action(values_of(app, option), "value"));
}

// One specification of _arguments a spelling.
std::string specifications(const Command& app, const Command& command) {
  std::string text;
  int positional = 0;
  const auto add = [&](const std::string& specification) {
    text += fmt::format(" \\\n        '{}'", specification);
  };
  for (const Option& option : visible_options(command)) {
    const std::string what =
        option.is("help") ? "Print help" : short_description(option.description());
    const bool value = option.takes_value();
    const std::string argument = value ? argument_of(app, option) : "";
    if (option.has_name()) {
      for (const std::string& name : option.long_names()) {
        add(fmt::format("*--{}{}[{}]{}", name, value ? "=" : "", escaped(what), argument));
      }
      for (const std::string& name : option.short_names()) {
        add(fmt::format("*-{}{}[{}]{}", name, value ? "+" : "", escaped(what), argument));
      }
    }
    if (option.has_place()) {
      const bool many = option.takes_several();
      add(fmt::format("{}{}", many ? "*" : fmt::format("{}", ++positional),
                      argument_of(app, option)));
    }
  }
  return text;
}

}  // namespace

std::string zsh_completion(const Command& app) {
  std::string commands, branches;
  for (const Command& command : app.commands()) {
    commands += fmt::format("        '{}:{}'\n", command.name(),
                            escaped(short_description(command.description())));
    branches += fmt::format("        {})\n          _arguments -s{} ;;\n", command.name(),
                            specifications(app, command));
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
