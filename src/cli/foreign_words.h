// Words of other tools, and of ours that are not there yet: what to say to who types them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "cli/command_line.h"

namespace pajamas::cli {

// What to do instead of the command `name` of another tool, given the model named behind it, if
// there was one. Nothing for a word that no tool is known for.
std::optional<Error> answer_to_command(std::string_view name, const std::string& model);

// What is called otherwise here, for an option as it was typed: "--n-predict", "-ngl", "--x=1".
std::optional<Error> answer_to_option(std::string_view typed);

// The first argument that is an option of another tool by one dash and several letters, which would
// be read as several options of one letter. `arguments` are those behind the program's name.
std::optional<Error> find_foreign_option(const Command& app,
                                         std::span<const char* const> arguments);

}  // namespace pajamas::cli
