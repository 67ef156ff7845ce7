// What the commands share: how one is registered, and what every one of them is given.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/append_file.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "cli/settings.h"
#include "kernels/table.h"
#include "model/text_assets.h"
#include "text/tokenizer.h"

namespace pajamas::cli {

// Lives as long as the program. Commands read it when they run, not when they are registered.
struct Context {
  StopFlag& stop;                            // set by Ctrl-C, SIGTERM and SIGHUP
  std::unique_ptr<Progress> progress{};      // bars on a terminal, plain or JSON lines otherwise
  Settings settings{};                       // of config.toml and the environment
  std::vector<TemporaryFolder> temporary{};  // removed at the end
  std::string program = "llama-pajamas";     // how this was called, for commands to copy
};

// Each registers one command: its options, its help with a worked example, and a callback that
// does the work and throws Error. Output goes to stdout, everything else to stderr.
void add_quantize(CLI::App& app, Context& context);
void add_plan(CLI::App& app, Context& context);
void add_run(CLI::App& app, Context& context);
void add_validate(CLI::App& app, Context& context);
void add_inspect(CLI::App& app, Context& context);
void add_tokenize(CLI::App& app, Context& context);
void add_completion(CLI::App& app, Context& context);
void add_doctor(CLI::App& app, Context& context);
void add_man(CLI::App& app, Context& context);
void add_chat(CLI::App& app, Context& context);
void add_models(CLI::App& app, Context& context);
void add_help(CLI::App& app, Context& context);
void add_version(CLI::App& app, Context& context);

// The options that several commands have, spelt the same everywhere.
void add_threads_option(CLI::App& command, int& threads);
// `--kernels NAME`, else the setting `kernels`, else the best of this machine.
void add_kernels_option(CLI::App& command, std::string& name);
const kernels::KernelTable& chosen_kernels(const std::string& name);

// `--reasoning LEVEL`, checked against model::kReasoningLevels.
void add_reasoning_option(CLI::App& command, std::string& level);
// `--chat-template NAME`, for model::choose_chat_template; empty: as the conversation takes it.
void add_chat_template_option(CLI::App& command, std::string& name);

// Builds a tokenizer; errors name the file it is from.
text::Tokenizer make_tokenizer(const model::TextAssets& assets);

}  // namespace pajamas::cli
