// `help`, `version`, and what the program says when it is called without anything.
#include <fmt/format.h>

#include <array>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/suggest.h"
#include "cli/command.h"
#include "cli/foreign_words.h"
#include "cli/front_page.h"
#include "cli/manual.h"
#include "cli/shell_words.h"
#include "cli/terminal.h"
#include "cli/text_wrap.h"

namespace pajamas::cli {
namespace {

struct Example {
  std::string_view what;
  std::string_view arguments;
};

// They work as they stand, on any machine that reaches the hub: the models are small.
constexpr std::array<Example, 5> kExamples{{
    {"Ask a model something", "run Qwen/Qwen2.5-0.5B-Instruct-GGUF \"Why is the sky blue?\""},
    {"Talk with it", "chat Qwen/Qwen2.5-0.5B-Instruct-GGUF"},
    {"Make a model smaller",
     "quantize Qwen/Qwen2.5-0.5B-Instruct --method Q4_K_M --output qwen.gguf"},
    {"See first how small it gets", "plan Qwen/Qwen2.5-7B-Instruct --method Q4_K_M,Q5_K_M"},
    {"See what fits this machine", "doctor"},
}};

}  // namespace

std::string front_page(const Command& app, const std::string& program) {
  const std::size_t width = help_columns();
  std::string text = wrapped(app.description(), width) + "\n\n";
  for (const Example& example : kExamples) {
    text +=
        fmt::format("{}:\n{}\n", example.what,
                    wrapped(fmt::format("  {} {}", shell_word(program), example.arguments), width));
  }
  return text + "\n" +
         wrapped(
             "MODEL is a GGUF file, a model's folder, or owner/name of huggingface.co, which is "
             "downloaded when it is first used.",
             width) +
         "\n" +
         wrapped(fmt::format("`{0} help` lists all commands, `{0} help run` explains one.",
                             shell_word(program)),
                 width) +
         "\n";
}

Command command_named(const Command& app, const std::string& name, std::string_view place) {
  std::vector<std::string> names;
  for (const Command& command : app.commands()) {
    if (command.name() == name) return command;
    names.push_back(command.name());
  }
  if (const auto answer = answer_to_command(name, {})) throw Error(*answer);
  const std::vector<std::string_view> views(names.begin(), names.end());
  throw Error(ErrorCode::kUsage, fmt::format("\"{}\" is no command", printable(name, 40)),
              did_you_mean(name, views) + "`llama-pajamas help` lists them")
      .at(place);
}

void add_help(const Command& app, Context&) {
  const Command command = app.add_command("help", "List the commands, or explain one");
  auto name = std::make_shared<std::string>();
  command.add_option("COMMAND", *name, "The command to explain (default: all, in a line each)")
      .type_name("");
  command.footer(
      "Example: how to quantize\n"
      "  llama-pajamas help quantize");
  command.callback([name, app] {
    if (name->empty()) {
      fmt::print("{}", app.help(app.name()));
    } else {
      const Command named = command_named(app, *name, "help");
      fmt::print("{}", named.help(app.name() + " " + named.name()));
    }
  });
}

void add_version(const Command& app, Context&) {
  const Command command = app.add_command("version", "Print the version");
  command.footer(
      "Example: what to name in a report of a fault\n"
      "  llama-pajamas version");
  command.callback([] { fmt::print("llama-pajamas {}\n", PAJAMAS_VERSION); });
}

}  // namespace pajamas::cli
