// Man pages out of the definitions that --help prints.
#pragma once

#include <string>
#include <vector>

#include "cli/cli11_fwd.h"

namespace pajamas::cli {

// The page of the program (`command` null) or of one command, in the man macros of roff.
std::string manual_page(const CLI::App& app, const CLI::App* command);

// "llama-pajamas.1", "llama-pajamas-run.1"
std::string manual_page_name(const CLI::App& app, const CLI::App* command);

// Commands and long options that --help shows, in the order of their definition.
std::vector<const CLI::App*> visible_commands(const CLI::App& app);
std::vector<const CLI::Option*> visible_options(const CLI::App& command);

// Text as roff prints it: backslashes, hyphens and dots at the start of lines are escaped.
std::string roff_text(std::string_view text);

}  // namespace pajamas::cli
