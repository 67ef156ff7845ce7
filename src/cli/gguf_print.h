// The metadata of GGUF files as people and programs read it.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "io/gguf.h"

namespace pajamas::cli {

// Every key in the order of the file: {"key": ..., "type": "array of string", "value": ...}, arrays
// in full. Numbers that JSON does not have are null, and text that is no UTF-8 is replaced.
nlohmann::ordered_json metadata_json(const io::GgufMetadata& metadata);

// A line a key; long texts and arrays by their beginning.
void print_metadata(const io::GgufMetadata& metadata);

}  // namespace pajamas::cli
