// The type of KV cache that whoever quantized a model suggests. It travels in the model, under a
// key of our own that other readers pass over.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "io/gguf.h"

namespace pajamas::model {

inline constexpr const char* kKvCacheKey = "llama_pajamas.kv_cache_type";  // GGUF's

// A name as of runtime/kv_types.h, which nobody has checked; empty: none is suggested. It is a
// suggestion, so that what is no text counts as none.
std::string read_kv_cache_type(const nlohmann::json& config);
std::string read_kv_cache_type(const io::GgufMetadata& metadata);

// Replaces what a config.json says of it; an empty name takes it out.
void write_kv_cache_type(const std::string& type, nlohmann::json& config);

}  // namespace pajamas::model
