// What the commands share: how one is registered, and what every one of them is given.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/append_file.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "cli/command_line.h"
#include "cli/settings.h"

namespace pajamas::cli {

// Lives as long as the program. Commands read it when they run, not when they are registered.
struct Context {
  StopFlag& stop;                            // set by Ctrl-C, SIGTERM and SIGHUP
  std::unique_ptr<Progress> progress{};      // bars on a terminal, plain or JSON lines otherwise
  Settings settings{};                       // of config.toml and the environment
  std::vector<TemporaryFolder> temporary{};  // removed at the end
  std::string program = "llama-pajamas";     // how this was called, for commands to copy
  std::vector<std::string> arguments{};      // the whole command line, `program` first
};

// Each registers one command: its options, its help with a worked example, and a callback that
// does the work and throws Error. Output goes to stdout, everything else to stderr.
void add_quantize(const Command& app, Context& context);
void add_presets(const Command& app, Context& context);
void add_plan(const Command& app, Context& context);
void add_imatrix(const Command& app, Context& context);
void add_run(const Command& app, Context& context);
void add_validate(const Command& app, Context& context);
void add_benchmark(const Command& app, Context& context);
void add_compare(const Command& app, Context& context);
void add_targets(const Command& app, Context& context);
void add_card(const Command& app, Context& context);
void add_upload(const Command& app, Context& context);
void add_inspect(const Command& app, Context& context);
void add_tokenize(const Command& app, Context& context);
void add_completion(const Command& app, Context& context);
void add_doctor(const Command& app, Context& context);
void add_man(const Command& app, Context& context);
void add_chat(const Command& app, Context& context);
void add_models(const Command& app, Context& context);
void add_help(const Command& app, Context& context);
void add_version(const Command& app, Context& context);

}  // namespace pajamas::cli
