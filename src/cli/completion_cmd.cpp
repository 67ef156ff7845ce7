// `completion`: a script that teaches bash or zsh the commands and options, made from the same
// definitions as --help.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/suggest.h"
#include "cli/command.h"
#include "cli/manual.h"

namespace pajamas::cli {
namespace {

constexpr std::array<std::string_view, 2> kShells{"bash", "zsh"};

std::vector<std::string> long_options(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : visible_options(command)) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

std::string bash_script(const CLI::App& app) {
  std::vector<std::string> commands;
  std::string cases;
  for (const CLI::App* command : visible_commands(app)) {
    commands.push_back(command->get_name());
    cases += fmt::format("    {}) words=\"{}\" ;;\n", command->get_name(),
                         fmt::join(long_options(*command), " "));
  }
  return fmt::format(
      "_llama_pajamas() {{\n"
      "  local current=\"${{COMP_WORDS[COMP_CWORD]}}\" words=\"\"\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    COMPREPLY=($(compgen -W \"{} {}\" -- \"$current\"))\n"
      "    return\n"
      "  fi\n"
      "  case \"${{COMP_WORDS[1]}}\" in\n{}  esac\n"
      "  case \"$current\" in\n"
      "    -*) COMPREPLY=($(compgen -W \"$words\" -- \"$current\")) ;;\n"
      "    *) compopt -o default 2>/dev/null; COMPREPLY=() ;;\n"
      "  esac\n"
      "}}\n"
      "complete -F _llama_pajamas llama-pajamas\n",
      fmt::join(commands, " "), fmt::join(long_options(app), " "), cases);
}

// zsh reads bash's completions through its own compatibility layer.
std::string zsh_script(const CLI::App& app) {
  return "#compdef llama-pajamas\nautoload -U +X bashcompinit && bashcompinit\n" + bash_script(app);
}

}  // namespace

void add_completion(CLI::App& app, Context&) {
  CLI::App* command = app.add_subcommand("completion", "Print a completion script for bash or zsh");
  auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash or zsh")->required()->type_name("");
  command->footer(
      "Example: completion in this shell\n"
      "  source <(llama-pajamas completion bash)");
  command->callback([shell, &app] {
    if (*shell != "bash" && *shell != "zsh") {
      throw Error(ErrorCode::kUsage, fmt::format("\"{}\" is no known shell", printable(*shell, 40)),
                  did_you_mean(*shell, kShells) + "give bash or zsh")
          .at("completion");
    }
    fmt::print("{}", *shell == "bash" ? bash_script(app) : zsh_script(app));
  });
}

}  // namespace pajamas::cli
