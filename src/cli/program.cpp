#include "cli/program.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "cli/exit_status.h"
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

// --help laid out for the terminal's width: descriptions stand in a column of their own and are
// broken at words; commands in a footer are broken as a shell takes it.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App* app, std::string name) const override {
    return wrapped(CLI::Formatter::make_usage(app, std::move(name)), help_columns(), 4);
  }
  std::string make_description(const CLI::App* app) const override {
    // The base class would add how many options are required, which is said where they are missing.
    return app->get_description().empty() ? ""
                                          : wrapped(app->get_description(), help_columns()) + "\n";
  }
  std::string make_footer(const CLI::App* app) const override {
    const std::string footer = app->get_footer();
    return footer.empty() ? "" : wrapped(footer, help_columns()) + "\n";
  }
  std::string make_subcommand(const CLI::App* command) const override {
    return entry(command->get_display_name(true), command->get_description(), 14);
  }
  std::string make_option(const CLI::Option* option, bool is_positional) const override {
    std::string name = make_option_name(option, is_positional);
    if (is_positional) {
      if (option->get_required()) name += " REQUIRED";
    } else if (option->get_positional()) {  // said of its place already
      if (option->get_items_expected_min() > 0) name += " " + option->get_type_name();
    } else {
      name += make_option_opts(option);
    }
    return entry(name, make_option_desc(option), get_column_width());
  }
};

Misuse misuse_of(const CLI::ParseError& error) {
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    return {Misuse::Kind::kMissing, error.what()};
  }
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    return {Misuse::Kind::kTooMany, error.what()};
  }
  return {Misuse::Kind::kOther, error.what()};
}

}  // namespace

Program::Program(const std::string& name, const std::string& version,
                 const std::string& description)
    : app_(std::make_unique<CLI::App>(description, name)) {
  app_->set_version_flag("--version", name + " " + version);
  app_->require_subcommand(1);
  auto formatter = std::make_shared<HelpFormatter>();
  formatter->column_width(34);
  app_->formatter(formatter);
}

Program::~Program() = default;

Command Program::root() const { return Command(app_.get()); }

bool Program::run(int argc, const char* const* argv, const std::function<void()>& before) {
  app_->parse_complete_callback(before);
  try {
    app_->parse(argc, argv);
    return true;
  } catch (const CLI::Success& success) {  // --help, --version
    app_->exit(success);
    return false;
  } catch (const CLI::ParseError& error) {
    throw usage_error(root(), misuse_of(error));
  }
}

}  // namespace pajamas::cli
