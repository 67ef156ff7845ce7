// `--kv-cache`, and what caches cost.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "model/config.h"
#include "runtime/native/kv_type.h"

namespace pajamas::cli {

// `standard` is what help says of the option left out.
void add_kv_cache_option(CLI::App& command, std::string& name, std::string_view standard);
// Throws Error{kUsage} with the list of types for a name that is none of them.
runtime::KvType kv_type_of(const std::string& name);

// The context that a command plans for without `--ctx`: the model's, at most 4096.
std::uint64_t default_context(const model::ModelConfig& config);

// "q8_0, 3.34 MB for 4,096 tokens"
std::string kv_cache_text(const model::ModelConfig& config, std::uint64_t context,
                          runtime::KvType type);

}  // namespace pajamas::cli
