// Facts: transformers 5.24, tokenization_utils_base.py (_from_pretrained, special_tokens_map).
#include "model/tokenizer_config.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "model/json_file.h"

namespace pajamas::model {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kExtra = "extra_special_tokens";
// How transformers 5 writes such names again.
constexpr const char* kModelSpecific = "model_specific_special_tokens";
constexpr std::array<std::string_view, 7> kParts{"bos_token", "eos_token", "unk_token", "sep_token",
                                                 "pad_token", "cls_token", "mask_token"};

void add_names(const json& config, const char* key, std::map<std::string, std::string>& tokens) {
  const auto names = config.find(key);
  if (names == config.end() || !names->is_object()) return;
  for (const auto& [name, token] : names->items()) {
    if (const auto text = special_token_text(*names, name)) tokens.insert_or_assign(name, *text);
  }
}

}  // namespace

json read_tokenizer_config(const fs::path& folder) {
  json config = json_object_if_there(folder / "tokenizer_config.json");
  if (config.contains("added_tokens_decoder")) return config;
  const json map = json_object_if_there(folder / "special_tokens_map.json");
  for (const auto& [key, value] : map.items()) {
    if (key == kExtra && value.is_object() && config.contains(kExtra) &&
        config[kExtra].is_object()) {
      config[kExtra].update(value);
    } else if (key != kExtra || value.is_object()) {
      config[key] = value;
    }
  }
  return config;
}

std::optional<std::string> special_token_text(const json& config, const std::string& key) {
  const auto found = config.find(key);
  if (found == config.end()) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  if (found->is_object() && found->contains("content") && (*found)["content"].is_string()) {
    return (*found)["content"].get<std::string>();
  }
  return std::nullopt;
}

bool is_special_token_key(std::string_view key) noexcept {
  return std::ranges::find(kParts, key) != kParts.end();
}

std::map<std::string, std::string> named_special_tokens(const json& config) {
  std::map<std::string, std::string> tokens;
  add_names(config, kModelSpecific, tokens);
  for (const auto& [key, value] : config.items()) {
    if (!key.ends_with("_token")) continue;
    if (const auto text = special_token_text(config, key)) tokens.insert_or_assign(key, *text);
  }
  add_names(config, kExtra, tokens);
  return tokens;
}

}  // namespace pajamas::model
