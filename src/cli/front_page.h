// What the program says when it is called without a command.
#pragma once

#include <string>
#include <string_view>

#include "cli/command_line.h"

namespace pajamas::cli {

// One screen: what this is, an example of each of the commands one begins with, and where help is.
// `program` is how it was called.
std::string front_page(const Command& app, const std::string& program);

// Throws Error{kUsage} that happened at `place` where there is no such command.
Command command_named(const Command& app, const std::string& name, std::string_view place);

}  // namespace pajamas::cli
