// `man`: manual pages, made from the same definitions as --help.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/output.h"
#include "cli/command.h"
#include "cli/front_page.h"
#include "cli/manual.h"

namespace pajamas::cli {
namespace {

struct ManFlags {
  std::string command;
  std::string output;
};

void write_page(const std::filesystem::path& folder, const Command& app,
                const std::optional<Command>& command) {
  const std::string text = manual_page(app, command);
  OutputFile file(folder / manual_page_name(app, command), text.size(), {.replace = true});
  file.write_at(0, as_byte_span(text));
  file.commit();
}

void run_man(const ManFlags& options, const Command& app) {
  std::optional<Command> command;
  if (!options.command.empty()) command = command_named(app, options.command, "man");
  if (options.output.empty()) {
    fmt::print("{}", manual_page(app, command));
    return;
  }
  if (command) return write_page(options.output, app, command);
  write_page(options.output, app, std::nullopt);
  for (const Command& each : app.commands()) write_page(options.output, app, each);
}

}  // namespace

void add_man(const Command& app, Context&) {
  const Command command = app.add_command("man", "Print a manual page");
  auto options = std::make_shared<ManFlags>();
  command.add_option("COMMAND", options->command, "The page of this command (default: the program)")
      .type_name("");
  command
      .add_option("--output", options->output,
                  "Write the page into this folder; without COMMAND, all of them")
      .type_name("DIR");
  command.footer(
      "Example: read how to quantize\n"
      "  llama-pajamas man quantize | man -l -");
  command.callback([options, app] { run_man(*options, app); });
}

}  // namespace pajamas::cli
