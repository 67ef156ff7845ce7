#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/completion.h"
#include "cli/manual.h"

namespace pajamas::cli {
namespace {

std::string fish_word(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string value_words(const Values& values) {
  const std::string words = fmt::format("{}", fmt::join(values.words, " "));
  return values.list ? fmt::format("(__fish_append , {})", words) : words;
}

// `condition` says for which command these are.
std::string options_of(const Command& app, const Command& command, std::string_view condition) {
  std::string text;
  for (const Option& option : visible_options(command)) {
    const Values values = values_of(app, option);
    if (option.has_name()) {
      std::string line = fmt::format("complete -c llama-pajamas -n {}", fish_word(condition));
      for (const std::string& name : option.short_names()) line += " -s " + name;
      for (const std::string& name : option.long_names()) line += " -l " + name;
      if (option.takes_value()) {
        line += values.kind == Values::Kind::kFiles ? " -r -F" : " -x";
        if (values.kind == Values::Kind::kWords) line += " -a " + fish_word(value_words(values));
      }
      const std::string what =
          option.is("help") ? "Print help" : short_description(option.description());
      text += fmt::format("{} -d {}\n", line, fish_word(what));
    }
    if (!option.has_place() || values.kind == Values::Kind::kNone) continue;
    text += fmt::format("complete -c llama-pajamas -n {} {}\n", fish_word(condition),
                        values.kind == Values::Kind::kFiles
                            ? "-F"
                            : fmt::format("-f -a {}", fish_word(value_words(values))));
  }
  return text;
}

}  // namespace

std::string fish_completion(const Command& app) {
  std::string with_value, lines;
  for (const Option& option : visible_options(app)) {
    if (!option.takes_value()) continue;
    for (const std::string& name : option.long_names()) with_value += " --" + name;
  }
  constexpr std::string_view kNone = "not __llama_pajamas_command";
  for (const Command& command : app.commands()) {
    lines += fmt::format("complete -c llama-pajamas -n {} -a {} -d {}\n", fish_word(kNone),
                         command.name(), fish_word(short_description(command.description())));
  }
  lines += options_of(app, app, kNone);
  for (const Command& command : app.commands()) {
    lines += options_of(app, command, "__llama_pajamas_is " + command.name());
  }
  return fmt::format(
      R"(# The first word that is neither an option nor the value of one.
function __llama_pajamas_command
    set -l words (commandline -opc)
    set -e words[1]
    set -l skip 0
    for word in $words
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
            case{0}
                set skip 1
            case '-*'
            case '*'
                echo $word
                return 0
        end
    end
    return 1
end
function __llama_pajamas_is
    set -l command (__llama_pajamas_command)
    and test "$command" = "$argv[1]"
end
complete -c llama-pajamas -f
{1})",
      with_value, lines);
}

}  // namespace pajamas::cli
