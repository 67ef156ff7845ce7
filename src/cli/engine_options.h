// The options of whatever runs or computes: threads, kernels, backend, KV cache, activations and
// context, spelt and checked the same in every command.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cli/command_line.h"
#include "cli/settings.h"
#include "kernels/table.h"
#include "model/checkpoint.h"
#include "runtime/backend_choice.h"
#include "runtime/engine_options.h"

namespace pajamas::cli {

// As the command line and the settings have them.
struct EngineFlags {
  int threads = 0;
  std::string backend{runtime::kAnyBackend};
  std::string kernels;  // empty: the best
  std::string kv_cache{runtime::info(runtime::kUsualKvType).name};
  std::string activations = "float";
  // What tells a choice of this run from one for every run, which may make no sense of a backend.
  const Settings* settings = nullptr;
};

// What a command does without these options.
struct EngineDefaults {
  runtime::KvType kv_cache;
  std::string_view activations;  // "int8" or "float"
  bool settings;                 // whether the settings have a say in what keys and values are
};

// --threads, --backend, --kernels, --kv-cache, --activations.
// `settings` must live as long as the flags.
void add_engine_options(const Command& command, const Settings& settings, EngineFlags& flags,
                        const EngineDefaults& defaults);
// For commands that have some of them.
void add_threads_option(const Command& command, int& threads);
void add_kernels_option(const Command& command, std::string& name);
void add_kv_cache_option(const Command& command, std::string& name, std::string_view standard);

// Everything but the context. Starts the threads. Throws Error{kUsage}, naming the option, for what
// is no name or number of it, kUnsupported for what this machine cannot do.
runtime::EngineOptions engine_options(const EngineFlags& flags);
// The same errors before a long download, but for those of the number of threads.
void check_engine_flags(const EngineFlags& flags);

// Where --backend leaves it open: chooses for the model, and tells what and why where something
// else might have been expected (with --verbose always).
void settle_backend(const model::Checkpoint& checkpoint, runtime::EngineOptions& options);

// Parts of it.
const kernels::KernelTable& chosen_kernels(const std::string& name);
runtime::KvType kv_type_of(const std::string& name);
// `context` as positions. Throws Error{kUsage} unless it is from `least` to kMaxContext; `what`
// says what number is to be given.
std::uint64_t checked_context(std::int64_t context, std::int64_t least, const std::string& what);

// "q8_0, 3.34 MB for 4,096 tokens": the keys and values of options.context.
std::string kv_cache_text(const model::ModelConfig& config, const runtime::EngineOptions& options);

}  // namespace pajamas::cli
