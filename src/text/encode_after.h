// Tokens of a text that grows: what a model has seen keeps the ids that it has seen.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace pajamas::text {

// The ids of `utf8`, special tokens parsed. `known` are ids that may spell its beginning: of an
// earlier encoding, or as a model generated them, which need not be the ids that an encoder
// chooses. They are kept up to the last place where they and the text still agree and where an
// added token follows in the text, for no word reaches across one. Where `at_end`, they are also
// kept if the text begins with all of them. Decoding gives `utf8` either way. Throws as
// Tokenizer::encode does, and Error{kUsage} for a known id out of range.
std::vector<std::int32_t> encode_after(const Tokenizer& tokenizer,
                                       std::span<const std::int32_t> known, std::string_view utf8,
                                       bool at_end = false);

}  // namespace pajamas::text
