// Everything that defines a byte-level BPE tokenizer, as plain data, wherever it came from.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pajamas::text {

struct AddedToken {
  std::int32_t id = 0;
  std::string content;
  bool special = false;
  bool single_word = false;
  bool lstrip = false;
  bool rstrip = false;
  bool normalized = false;
};

// Two tokens that become one. `text` is "left right", as GGUF writes it.
struct Merge {
  std::string text;
  std::uint32_t left_size = 0;

  std::string_view left() const { return std::string_view(text).substr(0, left_size); }
  std::string_view right() const { return std::string_view(text).substr(left_size + 1); }
};

// From "left right". Throws Error{kCorruptFile} where that is not two words.
Merge parse_merge(std::string text);

struct TokenizerSpec {
  // What the source calls the next two, for errors.
  std::string tokens_name = "model.vocab";
  std::string merges_name = "model.merges";
  // By id, as the vocabulary spells them (bytes as the 256 letters of the byte-level alphabet, a
  // space as 'Ġ'); added tokens literally. An empty string is an id without a token: append such
  // to reach a model's padded vocabulary.
  std::vector<std::string> tokens;
  std::vector<Merge> merges;  // by rank
  std::vector<AddedToken> added_tokens;
  // Pre-tokenizer patterns in Oniguruma's syntax. Each cuts the pieces that the one before left
  // into its matches and what is between them; nothing is dropped.
  std::vector<std::string> patterns;
  bool nfc = false;            // text is brought to NFC first
  bool ignore_merges = false;  // a word that is a token is that token, whatever the merges say
  // Stands for a byte that has no token (several in a row with `fuse_unk`); without it such bytes
  // are left out.
  std::optional<std::int32_t> unk;
  bool fuse_unk = false;
  bool add_prefix_space = false;
  // How many of the patterns run before the prefix space is added.
  std::size_t patterns_before_prefix = 0;
  // How many of the patterns, at the end, come behind ByteLevel: what they cut is bytes spelt as
  // the letters of its alphabet.
  std::size_t patterns_on_letters = 0;
  // What the post-processor says, if it says anything.
  std::optional<bool> adds_bos;
  std::optional<bool> adds_eos;
};

// Reads a tokenizer.json. Throws Error{kCorruptFile} or Error{kUnsupported} that names the key;
// the caller adds the file.
TokenizerSpec parse_tokenizer_json(std::string_view json);

// What the post-processor puts around every text.
struct SurroundingTokens {
  std::optional<std::int32_t> bos, eos;
};

// The contents of a tokenizer.json that tokenizes as `spec` does, for this program as for the
// reference library. Ids of `spec.added_tokens` and of `around` must be ids of `spec.tokens`.
// Throws Error{kCorruptFile} for a token that is not UTF-8.
std::string write_tokenizer_json(const TokenizerSpec& spec, const SurroundingTokens& around = {});

// What a name of GGUF's `tokenizer.ggml.pre` means.
struct PreTokenizer {
  std::vector<std::string> patterns;
  std::size_t patterns_on_letters = 0;
  bool nfc = false;
  bool ignore_merges = false;
  bool adds_bos = false;  // unless the file says otherwise
};

// Nothing for a name that is not known; aliases are.
std::optional<PreTokenizer> pre_tokenizer(std::string_view name);

// The name of a tokenizer's combination of patterns and flags; nothing where it has none.
std::optional<std::string_view> pre_tokenizer_name(const TokenizerSpec& spec);

// Whether a pattern is one of those, in any spelling, that match every character of a text.
bool matches_everything(const std::string& pattern);

// The name for a published vocabulary, known by tokens of it that others do not have at these ids;
// nothing for all others.
std::optional<std::string_view> pre_tokenizer_of_vocabulary(std::span<const std::string> tokens);

// One name for every combination of patterns and flags, for messages; aliases left out.
std::vector<std::string_view> pre_tokenizer_names();

}  // namespace pajamas::text
