// What the configurations of all decoders have in common, in config.json and in GGUF.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "io/gguf.h"
#include "model/config.h"

namespace pajamas::model {

class Architecture;
class GgufParams;

// Sizes, heads, context, rotary embedding and norms; not experts, windows or activations. Throws
// Error{kCorruptFile} naming the key, kUnsupported naming a rotary scaling.
ModelConfig read_decoder(const Architecture& architecture, const nlohmann::json& config);
ModelConfig read_decoder(const Architecture& architecture, const io::GgufMetadata& metadata);
// Likewise, in llama.cpp's order; expert counts too where there are experts.
void write_decoder(const ModelConfig& config, io::GgufMetadata& metadata);
void write_decoder(const ModelConfig& config, nlohmann::json& json);

// Throws Error{kUnsupported} where a flag of config.json says something that would change what is
// computed: `key` must be absent, null or `usual`.
void require_flag(const nlohmann::json& config, const char* key, bool usual);
void require_text(const nlohmann::json& config, const char* key, std::string_view usual);

// Throws Error{kUnsupported} where use_sliding_window, sliding_window, max_window_layers and
// layer_types together give a layer a window; `first` is the first such layer where the file does
// not say max_window_layers. Flags that window no layer are full attention.
void require_full_attention(const nlohmann::json& config, std::uint64_t first,
                            std::uint64_t layers);

// expert_count and the like; `ffn_key` is what config.json calls the width of an expert. Throws
// where more experts are used than there are.
struct ExpertKeys {
  const char* count;
  const char* used;
  const char* ffn;
};
void read_experts(const nlohmann::json& json, const ExpertKeys& keys, ModelConfig& config);
void read_experts(const io::GgufMetadata& metadata, ModelConfig& config);

}  // namespace pajamas::model
