// Text to token ids and back, equal to the reference tokenizer's ids without anything added.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer_spec.h"

namespace pajamas::text {

struct EncodeOptions {
  // Whether special tokens that stand in the text become what they name. Added tokens that are
  // not special (`<tool_call>`) always do.
  bool parse_special = false;
};

// Immutable and cheap to copy; any number of threads may use one at the same time.
class Tokenizer {
 public:
  // Throws Error{kCorruptFile} for merges or added tokens that contradict the vocabulary and for
  // tokens that stand there twice, Error{kUnsupported} for a pattern it cannot run.
  explicit Tokenizer(TokenizerSpec spec);

  // Bytes that the vocabulary lacks (published ones lack rare ones) become `spec().unk`, or
  // nothing. Throws Error{kUsage} where the text is not UTF-8, Error{kUnsupported} where a pattern
  // backtracks without end.
  std::vector<std::int32_t> encode(std::string_view utf8, EncodeOptions options = {}) const;

  // The bytes of the tokens one after the other: UTF-8 only if the ids say so (see utf8_lossy).
  // Throws Error{kUsage} for an id out of range; an id without a token gives nothing.
  std::string decode(std::span<const std::int32_t> ids, bool skip_special = false) const;

  // The bytes of one token. Throws Error{kUsage} for an id out of range.
  std::string_view token_bytes(std::int32_t id) const;

  // The id of a token, spelt as in the vocabulary (added tokens: literally).
  std::optional<std::int32_t> find_token(std::string_view content) const;

  // False for ids out of range.
  bool is_special(std::int32_t id) const noexcept;

  // Ids are below this; some may have no token.
  std::size_t vocab_size() const noexcept;

  const TokenizerSpec& spec() const noexcept;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace pajamas::text
