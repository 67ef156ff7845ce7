// The metadata of a GGUF file, as llama.cpp's converter and quantizer would write it.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "io/gguf.h"
#include "model/config.h"
#include "model/model_card.h"
#include "model/text_assets.h"
#include "quantize/recipe.h"

namespace pajamas::quantize {

struct GgufSource {
  std::string name;              // the model's folder, from which general.name follows
  const io::GgufMetadata* gguf;  // of a source that is a GGUF file itself: taken over; else null
  const nlohmann::json* generation_config;       // may be null
  const model::TextAssets* text;                 // may be null: then without a tokenizer
  const ImportanceOrigin* importance = nullptr;  // of the matrix that weighs the columns
  const model::ModelCard* card = nullptr;        // of a checkpoint that has one
  std::string kv_cache_type = {};                // to suggest; empty: none
  std::string target = {};                       // that was aimed at; empty: a method
};

// Throws Error{kUnsupported} where the tokenizer's patterns have no name in GGUF, kCorruptFile
// where it defines more tokens than the model has embeddings.
io::GgufMetadata make_gguf_metadata(const model::ModelConfig& config, std::uint32_t file_type,
                                    const GgufSource& source);

}  // namespace pajamas::quantize
