// How --help looks: laid out for the terminal's width.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace pajamas::cli {

// Descriptions stand in a column of their own and are broken at words; commands in a footer are
// broken as a shell takes it.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App* app, std::string name) const override;
  std::string make_description(const CLI::App* app) const override;
  std::string make_footer(const CLI::App* app) const override;
  std::string make_subcommand(const CLI::App* command) const override;
  std::string make_option(const CLI::Option* option, bool is_positional) const override;
};

}  // namespace pajamas::cli
