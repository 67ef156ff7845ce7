#include "cli/help_formatter.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/completion.h"
#include "cli/text_wrap.h"

namespace pajamas::cli {
namespace {

constexpr std::size_t kIndent = 2;

// Where descriptions begin; less in narrow terminals.
std::size_t description_column(std::size_t wanted, std::size_t width) {
  return std::min(wanted, std::max<std::size_t>(8, width * 2 / 5));
}

std::string entry(const std::string& name, const std::string& text, std::size_t column) {
  const std::size_t width = help_columns();
  column = description_column(column, width);
  std::string out = std::string(kIndent, ' ') + name;
  std::size_t at = kIndent + columns_of(name);
  if (text.empty()) return out + "\n";
  if (at + 1 >= column) {  // too long to have its text beside it
    out += '\n';
    at = 0;
  }
  out.append(column - at, ' ');
  return out + wrapped(text, width, column, column) + "\n";
}

}  // namespace

std::string HelpFormatter::make_usage(const CLI::App* app, std::string name) const {
  return wrapped(CLI::Formatter::make_usage(app, std::move(name)), help_columns(), 4);
}

std::string HelpFormatter::make_description(const CLI::App* app) const {
  // The base class would add how many options are required, which is said where they are missing.
  return app->get_description().empty() ? ""
                                        : wrapped(app->get_description(), help_columns()) + "\n";
}

std::string HelpFormatter::make_footer(const CLI::App* app) const {
  const std::string footer = app->get_footer();
  return footer.empty() ? "" : wrapped(footer, help_columns()) + "\n";
}

std::string HelpFormatter::make_subcommand(const CLI::App* command) const {
  return entry(command->get_display_name(true), command->get_description(), 14);
}

std::string HelpFormatter::make_option(const CLI::Option* option, bool is_positional) const {
  std::string name = make_option_name(option, is_positional);
  if (is_positional) {
    if (option->get_required()) name += " REQUIRED";
  } else if (option->get_positional()) {  // said of its place already
    if (takes_value(*option)) name += " " + option->get_type_name();
  } else {
    name += make_option_opts(option);
  }
  return entry(name, make_option_desc(option), get_column_width());
}

}  // namespace pajamas::cli
