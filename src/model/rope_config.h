// The rotary embedding as config.json and GGUF describe it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "io/gguf.h"
#include "model/config.h"

namespace pajamas::model {

// Base and scaling, in both spellings that transformers has used: rope_theta and rope_scaling, or
// rope_parameters, which wins where they contradict each other; config.notes tells of that. Needs
// config.context_length. A scaling that is not known is refused by name.
// Throws Error{kCorruptFile} naming the key, kUnsupported naming the scaling.
void read_rope(const nlohmann::json& json, ModelConfig& config);
void read_rope(const io::GgufMetadata& metadata, ModelConfig& config);

// "none", "yarn, factor 32 from 4096 positions": for people.
std::string describe(const RopeScaling& scaling);

// rope.scaling.*; nothing where there is none, and nothing for llama3, which is a tensor there.
void write_rope_scaling(const ModelConfig& config, io::GgufMetadata& metadata);
// In the spelling that every reader knows, and in the newer one too where `json` has it; nothing
// changes where mlx-lm reads the same of `json` already.
void write_rope(const ModelConfig& config, nlohmann::json& json);

}  // namespace pajamas::model
