// Man pages out of the definitions that --help prints.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/command_line.h"

namespace pajamas::cli {

// The page of the program (no `command`) or of one command, in the man macros of roff.
std::string manual_page(const Command& app, const std::optional<Command>& command);

// "llama-pajamas.1", "llama-pajamas-run.1"
std::string manual_page_name(const Command& app, const std::optional<Command>& command);

// The options that --help shows, in the order of their definition.
std::vector<Option> visible_options(const Command& command);

// Text as roff prints it: backslashes, hyphens and dots at the start of lines are escaped.
std::string roff_text(std::string_view text);

}  // namespace pajamas::cli
