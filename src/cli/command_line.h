// Commands and their options as this program describes and reads them. CLI11 parses; its header
// takes a compiler longer than most sources here, so command_line.cpp and program.cpp alone include
// it, and all others this.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace pajamas::cli {

// An option of a command, or an argument, which has a place instead of a name, or both. Refers to
// one that lives as long as its Program.
class Option {
 public:
  explicit Option(CLI::Option* option) noexcept : option_(option) {}

  // What is said of it and what it takes; each gives the option back.
  Option group(const std::string& heading) const;   // in --help; "": it is not shown at all
  Option type_name(const std::string& name) const;  // what --help calls the value
  Option required() const;
  Option default_str(const std::string& text) const;  // what --help calls the default
  Option capture_default_str() const;                 // the same, of the variable as it is now
  Option is_member(const std::vector<std::string>& words) const;  // any other value is refused
  Option delimiter(char sign) const;                              // between values of a list
  Option one_each_time() const;  // of a list: what follows the value is not another one
  Option excludes(Option other) const;
  Option needs(Option other) const;
  // The value is what `change` makes of the one that was typed.
  Option transform(std::function<std::string(const std::string&)> change) const;

  std::string name() const;        // "--threads", of several the first; "" where it is hidden
  std::string place_name() const;  // "MODEL"; "" where it has no place or is hidden
  std::string shown_name() const;  // by its place, where it has one
  const std::vector<std::string>& long_names() const;  // without dashes
  const std::vector<std::string>& short_names() const;
  bool is(const std::string& long_name) const;
  std::string type() const;
  const std::string& description() const;
  std::string default_text() const;
  bool is_required() const;
  bool is_hidden() const;
  bool has_name() const;
  bool has_place() const;
  bool takes_value() const;    // one follows it
  bool takes_several() const;  // values

  // After parsing.
  bool given() const;
  std::string last_value() const;             // as it was typed; it must have been given
  void give(const std::string& value) const;  // as if the command line had said so

 private:
  CLI::Option* option_;
};

// A command, or the program itself, whose options stand before the command. Refers to one that
// lives as long as its Program.
class Command {
 public:
  explicit Command(CLI::App* app) noexcept : app_(app) {}

  // `names`: "-n,--max-tokens", "MODEL", or both. The variable must live as long as the command.
  Option add_option(const std::string& names, std::string& value, const std::string& text) const;
  Option add_option(const std::string& names, std::optional<std::string>& value,
                    const std::string& text) const;
  Option add_option(const std::string& names, std::vector<std::string>& value,
                    const std::string& text) const;
  Option add_option(const std::string& names, int& value, const std::string& text) const;
  Option add_option(const std::string& names, std::optional<int>& value,
                    const std::string& text) const;
  Option add_option(const std::string& names, std::int64_t& value, const std::string& text) const;
  Option add_option(const std::string& names, std::optional<std::int64_t>& value,
                    const std::string& text) const;
  Option add_option(const std::string& names, std::uint64_t& value, const std::string& text) const;
  Option add_option(const std::string& names, std::optional<double>& value,
                    const std::string& text) const;
  Option add_flag(const std::string& names, bool& value, const std::string& text) const;
  Command add_command(const std::string& name, const std::string& text) const;
  void footer(const std::string& text) const;
  // Does the work, when all is parsed.
  void callback(std::function<void()> run) const;

  const std::string& name() const;
  std::string description() const;
  std::string footer() const;
  // What --help prints; `full_name` with the program's.
  std::string help(const std::string& full_name) const;
  std::vector<Option> options() const;
  std::optional<Option> find_option(const std::string& name) const;  // with its dashes
  std::vector<Command> commands() const;

  // After parsing.
  std::optional<Command> given_command() const;
  // What nothing was made of; `all`: by the given command either.
  std::vector<std::string> remaining(bool all = false) const;

 private:
  CLI::App* app_;
};

}  // namespace pajamas::cli
