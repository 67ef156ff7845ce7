#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <utility>

namespace pajamas::cli {

Option Option::group(const std::string& heading) const { return Option(option_->group(heading)); }
Option Option::type_name(const std::string& name) const { return Option(option_->type_name(name)); }
Option Option::required() const { return Option(option_->required()); }
Option Option::default_str(const std::string& text) const {
  return Option(option_->default_str(text));
}
Option Option::capture_default_str() const { return Option(option_->capture_default_str()); }
Option Option::is_member(const std::vector<std::string>& words) const {
  return Option(option_->check(CLI::IsMember(std::vector<std::string>(words))));
}
Option Option::delimiter(char sign) const { return Option(option_->delimiter(sign)); }
Option Option::one_each_time() const { return Option(option_->allow_extra_args(false)); }
Option Option::excludes(Option other) const { return Option(option_->excludes(other.option_)); }
Option Option::needs(Option other) const { return Option(option_->needs(other.option_)); }
Option Option::transform(std::function<std::string(const std::string&)> change) const {
  return Option(option_->transform(CLI::Validator(
      [change = std::move(change)](std::string& text) {
        text = change(text);
        return std::string();
      },
      "")));
}

std::string Option::name() const { return option_->get_name(); }
std::string Option::place_name() const { return option_->get_name(true); }
std::string Option::shown_name() const { return option_->get_name(has_place()); }
const std::vector<std::string>& Option::long_names() const { return option_->get_lnames(); }
const std::vector<std::string>& Option::short_names() const { return option_->get_snames(); }
bool Option::is(const std::string& long_name) const { return option_->check_lname(long_name); }
std::string Option::type() const { return option_->get_type_name(); }
const std::string& Option::description() const { return option_->get_description(); }
std::string Option::default_text() const { return option_->get_default_str(); }
bool Option::is_required() const { return option_->get_required(); }
bool Option::is_hidden() const { return option_->get_group().empty(); }
bool Option::has_name() const { return option_->nonpositional(); }
bool Option::has_place() const { return option_->get_positional(); }
bool Option::takes_value() const { return option_->get_items_expected_min() > 0; }
bool Option::takes_several() const { return option_->get_items_expected_max() > 1; }

bool Option::given() const { return option_->count() > 0; }
std::string Option::last_value() const { return option_->results().back(); }
void Option::give(const std::string& value) const {
  option_->add_result(value);
  option_->run_callback();
}

Option Command::add_option(const std::string& names, std::string& value,
                           const std::string& text) const {
  return Option(app_->add_option(names, value, text));
}
Option Command::add_option(const std::string& names, std::optional<std::string>& value,
                           const std::string& text) const {
  return Option(app_->add_option(names, value, text));
}
Option Command::add_option(const std::string& names, std::vector<std::string>& value,
                           const std::string& text) const {
  return Option(app_->add_option(names, value, text));
}
Option Command::add_option(const std::string& names, int& value, const std::string& text) const {
  return Option(app_->add_option(names, value, text));
}
Option Command::add_option(const std::string& names, std::optional<int>& value,
                           const std::string& text) const {
  return Option(app_->add_option(names, value, text));
}
Option Command::add_option(const std::string& names, std::int64_t& value,
                           const std::string& text) const {
  return Option(app_->add_option(names, value, text));
}
Option Command::add_option(const std::string& names, std::optional<std::int64_t>& value,
                           const std::string& text) const {
  return Option(app_->add_option(names, value, text));
}
Option Command::add_option(const std::string& names, std::uint64_t& value,
                           const std::string& text) const {
  return Option(app_->add_option(names, value, text));
}
Option Command::add_option(const std::string& names, std::optional<double>& value,
                           const std::string& text) const {
  return Option(app_->add_option(names, value, text));
}
Option Command::add_flag(const std::string& names, bool& value, const std::string& text) const {
  return Option(app_->add_flag(names, value, text));
}
Command Command::add_command(const std::string& name, const std::string& text) const {
  return Command(app_->add_subcommand(name, text));
}
void Command::footer(const std::string& text) const { app_->footer(text); }
void Command::callback(std::function<void()> run) const { app_->callback(std::move(run)); }

const std::string& Command::name() const { return app_->get_name(); }
std::string Command::description() const { return app_->get_description(); }
std::string Command::footer() const { return app_->get_footer(); }
std::string Command::help(const std::string& full_name) const {
  // CLI11's own would be that of the command that was given.
  return app_->get_formatter()->make_help(app_, full_name, CLI::AppFormatMode::Normal);
}
std::vector<Option> Command::options() const {
  std::vector<Option> all;
  for (CLI::Option* option : app_->get_options()) all.emplace_back(option);
  return all;
}
std::optional<Option> Command::find_option(const std::string& name) const {
  CLI::Option* option = app_->get_option_no_throw(name);
  return option == nullptr ? std::nullopt : std::optional(Option(option));
}
std::vector<Command> Command::commands() const {
  std::vector<Command> all;
  for (CLI::App* app : app_->get_subcommands([](CLI::App*) { return true; })) all.emplace_back(app);
  return all;
}

std::optional<Command> Command::given_command() const {
  const std::vector<CLI::App*> given = app_->get_subcommands();
  return given.empty() ? std::nullopt : std::optional(Command(given.back()));
}
std::vector<std::string> Command::remaining(bool all) const { return app_->remaining(all); }

}  // namespace pajamas::cli
