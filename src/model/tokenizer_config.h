// tokenizer_config.json and special_tokens_map.json: the names of special tokens.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

namespace pajamas::model {

// tokenizer_config.json, an empty object where there is none, with what special_tokens_map.json
// says put over it, as transformers does unless the first describes every added token
// ("added_tokens_decoder"). Throws Error{kCorruptFile}.
nlohmann::json read_tokenizer_config(const std::filesystem::path& folder);

// A special token's text: a string, or an object with "content".
std::optional<std::string> special_token_text(const nlohmann::json& config, const std::string& key);

// The seven parts that a special token can play: "bos_token" and so on.
bool is_special_token_key(std::string_view key) noexcept;

// The special tokens that a template sees by name: those seven, every other key that ends in
// "_token", and the names in "extra_special_tokens" (an object of them; a list names none).
std::map<std::string, std::string> named_special_tokens(const nlohmann::json& config);

}  // namespace pajamas::model
