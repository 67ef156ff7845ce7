// `completion`: a script that teaches a shell the commands, options and values.
#include <fmt/format.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/suggest.h"
#include "cli/command.h"
#include "cli/completion.h"

namespace pajamas::cli {
namespace {

struct Shell {
  std::string_view name;
  std::string (*script)(const Command& app);
};
constexpr std::array kShells{Shell{"bash", bash_completion}, Shell{"zsh", zsh_completion},
                             Shell{"fish", fish_completion}};

std::string script_for(const std::string& name, const Command& app) {
  std::array<std::string_view, kShells.size()> names;
  for (std::size_t i = 0; i < kShells.size(); ++i) {
    if (kShells[i].name == name) return kShells[i].script(app);
    names[i] = kShells[i].name;
  }
  throw Error(ErrorCode::kUsage, fmt::format("\"{}\" is no known shell", printable(name, 40)),
              did_you_mean(name, names) + "give bash, zsh or fish")
      .at("completion");
}

}  // namespace

void add_completion(const Command& app, Context&) {
  const Command command =
      app.add_command("completion", "Print a completion script for bash, zsh or fish");
  auto shell = std::make_shared<std::string>();
  command.add_option("SHELL", *shell, "bash, zsh or fish").required().type_name("");
  command.footer(
      "Example: completion in this shell (bash or zsh), and in fish\n"
      "  source <(llama-pajamas completion bash)\n"
      "  llama-pajamas completion fish | source");
  command.callback([shell, app] { fmt::print("{}", script_for(*shell, app)); });
}

}  // namespace pajamas::cli
