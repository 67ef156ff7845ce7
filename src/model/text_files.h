// The files of a Hugging Face or MLX directory that turn text into tokens and back.
#pragma once

#include <string>
#include <vector>

#include "model/text_assets.h"

namespace pajamas::model {

struct TextFile {
  std::string name;
  std::string content;
};

// tokenizer.json, tokenizer_config.json and generation_config.json that mean what `assets` says,
// for text that came without them: read back, they give the same tokenizer, template and stop
// tokens. `gguf` (may be null) adds the sampling settings that its makers recommend.
// Throws Error{kCorruptFile} for a token that is not UTF-8.
std::vector<TextFile> make_text_files(const TextAssets& assets, const io::GgufMetadata* gguf);

}  // namespace pajamas::model
