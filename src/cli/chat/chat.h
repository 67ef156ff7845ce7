// The chat of `run`: messages and commands, line by line.
#pragma once

#include <optional>
#include <string>

#include "cli/command.h"
#include "cli/run_model.h"

namespace pajamas::cli {

// `first` is the first message. Until /quit, Ctrl-D or the end of standard input. At a terminal
// errors are shown and the chat goes on; else the first one ends it, as in a script. Throws
// Error{kInterrupted} on SIGTERM and SIGHUP, and on SIGINT where standard input is no terminal.
void chat(RunModel& model, const std::optional<std::string>& first, Context& context);

}  // namespace pajamas::cli
