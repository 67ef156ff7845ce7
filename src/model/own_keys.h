// What whoever quantized a model says of it to this program. It travels in the model, under keys of
// our own that other readers pass over: of GGUF's metadata, and of an object of config.json.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "io/gguf.h"

namespace pajamas::model {

struct OwnKey {
  const char* gguf;
  const char* name;  // in config.json's object
};
// What was aimed at in place of a method: a preset ("ultra") or a size ("4.5GB", "4bpw").
inline constexpr OwnKey kTarget{"llama_pajamas.target", "target"};

// Empty: it says nothing. What is no text counts as none.
std::string read_own_key(OwnKey key, const nlohmann::json& config);
std::string read_own_key(OwnKey key, const io::GgufMetadata& metadata);

// Replaces what a config.json says; an empty text takes it out.
void write_own_key(OwnKey key, const std::string& text, nlohmann::json& config);

}  // namespace pajamas::model
