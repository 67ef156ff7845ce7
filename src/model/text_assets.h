// What a model needs to turn text into tokens and back: tokenizer, special tokens, chat template.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "io/gguf.h"
#include "model/chat_templates.h"
#include "model/checkpoint.h"
#include "text/tokenizer.h"

namespace pajamas::model {

// Special tokens by the part they play. Each is a token of the vocabulary.
struct SpecialTokens {
  std::optional<std::int32_t> bos, eos, unk, sep, pad, cls, mask;
};

struct TextAssets {
  std::string origin;  // the file that holds the tokenizer, for errors
  text::TokenizerSpec tokenizer;
  SpecialTokens special;
  std::vector<std::int32_t> stop;  // generation ends on any of these; sorted
  bool add_bos = false;            // a text starts with bos
  ChatTemplates chat_templates;
  // The special tokens that a template sees: "bos_token" and its text, and so on.
  std::map<std::string, std::string> template_tokens;
  // GGUF's name of the pre-tokenizer, where a file or the user says one.
  std::string pre_tokenizer;
  std::vector<std::string> notes;  // what the user should know: what had to be guessed
};

struct TextOptions {
  // The pre-tokenizer of a GGUF file, whatever it says itself; of other forms, the name for it in
  // a GGUF file that is made from them. Empty: what the file says.
  std::string pre_tokenizer;
};

// From a directory with tokenizer.json (and, where they are there, tokenizer_config.json,
// special_tokens_map.json, generation_config.json, config.json and the files of
// read_chat_templates), from a lone tokenizer.json, or from a GGUF file, told apart by content.
// Throws Error{kNotFound, kCorruptFile, kUnsupported}.
TextAssets load_text_assets(const std::filesystem::path& path, const TextOptions& options = {});

// The same for a checkpoint that is open: a GGUF header is not read again.
TextAssets load_text_assets(const Checkpoint& checkpoint, const TextOptions& options = {});

// The same from GGUF metadata that is open already.
TextAssets text_assets_of(const io::GgufMetadata& metadata, const TextOptions& options = {});

// Of `assets.stop`, those that a reader of GGUF knows neither as eos nor by their texts.
std::vector<std::int32_t> ends_without_name(const TextAssets& assets);

}  // namespace pajamas::model
