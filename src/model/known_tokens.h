// Tokens that are known by their texts, whatever their file says or leaves out about them.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <vector>

#include "text/tokenizer_spec.h"

namespace pajamas::model {

// Ends of an answer and the marks of fill-in-the-middle are one token each, as in llama.cpp: those
// that are ordinary tokens of the vocabulary become special added tokens. `retype`: those that are
// added tokens already but not special become special.
void add_known_tokens(text::TokenizerSpec& spec, bool retype);

// The same for tokens that tokenizer_config.json names, as in transformers: the entries of
// `added_tokens_decoder` and the special tokens ("eos_token"). What contradicts the vocabulary is
// passed over.
void add_config_tokens(text::TokenizerSpec& spec, const nlohmann::json& tokenizer_config);

// The added tokens whose texts say that they end an answer; sorted.
std::vector<std::int32_t> known_ends(const text::TokenizerSpec& spec);

// The token that ends a message of a turn, not the turn, where there is one although its text says
// otherwise: a model with channels, or with ends of its own for both.
std::optional<std::int32_t> message_end(const text::TokenizerSpec& spec);

}  // namespace pajamas::model
