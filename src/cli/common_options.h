// The options that every command has, and where settings become defaults of options.
#pragma once

#include <string>

#include "cli/command_line.h"
#include "cli/log.h"
#include "cli/settings.h"

namespace pajamas::cli {

struct CommonOptions {
  bool quiet = false;
  bool verbose = false;
  bool json = false;
  std::string colour;
  std::string profile;
};

// Adds them to the program and to every command registered so far. A command's own --json, which
// prints its result as JSON, stays what it is, and has the log as JSON too.
void add_common_options(const Command& app, CommonOptions& options);

// What the arguments say of the log, before they are parsed: a mistake in them is told in the form
// that they ask for.
LogStyle scan_log_style(int argc, const char* const* argv, ColourMode colour);

// After parsing: the log style of the command that is about to run. A --json before the command
// is also the command's own. Throws Error{kUsage} for options that contradict each other.
LogStyle chosen_log_style(const Command& app, const CommonOptions& options,
                          const Settings& settings);

// Gives options that were left out the values of settings, and settings the values of options that
// were given. `--text` is one of validate alone; temperature, system message, context and KV cache
// are those of `run` and `chat`, the last two of `doctor` and `plan` too.
void apply_settings(const Command& command, Settings& settings);

}  // namespace pajamas::cli
