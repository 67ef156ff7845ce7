// Facts: llama.cpp's list of texts (state of 2026-10).
#include "model/known_tokens.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <unordered_map>

namespace pajamas::model {
namespace {

using nlohmann::json;

constexpr std::string_view kMessageEnd = "<|end|>";

constexpr std::string_view kEnds[] = {
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>", kMessageEnd, "<|return|>", "<|call|>", "<|calls|>",
    "<|flush|>", "<|endoftext|>", "<|end_of_text|>", "<end_of_turn>", "<end_of_utterance>", "<EOT>",
    "_<EOT>", "<\uFF5Cend\u2581of\u2581sentence\uFF5C>",
    // Between the files of a repository, and padding behind them.
    "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "<|fim_repo|>", "<|repo_name|>", "<fim-repo>",
    "<REPO>", "<reponame>", "<|file_sep|>"};

// An end where it is a control token: HTML has it too, so that a vocabulary may have learnt it.
constexpr std::string_view kEndIfControl = "</s>";

constexpr std::string_view kFillInTheMiddle[] = {"<|fim_prefix|>",
                                                 "<fim-prefix>",
                                                 "<fim_prefix>",
                                                 "<\uFF5Cfim\u2581begin\uFF5C>",
                                                 "<PRE>",
                                                 "\u2581<PRE>",
                                                 "<|code_prefix|>",
                                                 "<|fim_suffix|>",
                                                 "<fim-suffix>",
                                                 "<fim_suffix>",
                                                 "<\uFF5Cfim\u2581hole\uFF5C>",
                                                 "<SUF>",
                                                 "\u2581<SUF>",
                                                 "<|code_suffix|>",
                                                 "<|fim_middle|>",
                                                 "<fim-middle>",
                                                 "<fim_middle>",
                                                 "<\uFF5Cfim\u2581end\uFF5C>",
                                                 "<MID>",
                                                 "\u2581<MID>",
                                                 "<|code_middle|>"};

bool is_end(std::string_view text) {
  return std::find(std::begin(kEnds), std::end(kEnds), text) != std::end(kEnds);
}

bool is_known(std::string_view text) {
  if (!text.ends_with('>')) return false;  // most of a vocabulary
  return is_end(text) || std::find(std::begin(kFillInTheMiddle), std::end(kFillInTheMiddle),
                                   text) != std::end(kFillInTheMiddle);
}

const text::AddedToken* added_token(const text::TokenizerSpec& spec, std::string_view content) {
  for (const text::AddedToken& token : spec.added_tokens) {
    if (token.content == content) return &token;
  }
  return nullptr;
}

std::vector<bool> ids_of_added(const text::TokenizerSpec& spec) {
  std::vector<bool> added(spec.tokens.size());
  for (const text::AddedToken& token : spec.added_tokens) {
    if (token.id >= 0 && static_cast<std::size_t>(token.id) < added.size()) {
      added[static_cast<std::size_t>(token.id)] = true;
    }
  }
  return added;
}

// A special token's text: a string, or an object with "content"; empty where it is neither.
std::string_view token_text(const json& value) {
  if (value.is_string()) return value.get_ref<const std::string&>();
  if (!value.is_object()) return {};
  const auto content = value.find("content");
  if (content == value.end() || !content->is_string()) return {};
  return content->get_ref<const std::string&>();
}

// Whether an id can be `content`; an id that has no token yet gets it.
bool claim(text::TokenizerSpec& spec, std::size_t id, std::string_view content) {
  if (id >= spec.tokens.size() || content.empty()) return false;
  if (spec.tokens[id].empty()) {
    if (std::find(spec.tokens.begin(), spec.tokens.end(), content) != spec.tokens.end()) {
      return false;
    }
    spec.tokens[id] = content;
  }
  return spec.tokens[id] == content;
}

void add_decoder_entries(text::TokenizerSpec& spec, const json& entries) {
  if (!entries.is_object()) return;
  const std::vector<bool> added = ids_of_added(spec);
  for (const auto& [key, entry] : entries.items()) {
    std::size_t id = 0;
    const auto [end, code] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (code != std::errc() || end != key.data() + key.size()) continue;
    if (id >= added.size() || added[id] || !claim(spec, id, token_text(entry))) continue;
    const auto flag = [&entry = entry](const char* name) {
      const auto found = entry.is_object() ? entry.find(name) : entry.end();
      return found != entry.end() && found->is_boolean() && found->get<bool>();
    };
    spec.added_tokens.push_back({.id = static_cast<std::int32_t>(id),
                                 .content = spec.tokens[id],
                                 .special = flag("special"),
                                 .single_word = flag("single_word"),
                                 .lstrip = flag("lstrip"),
                                 .rstrip = flag("rstrip"),
                                 .normalized = flag("normalized")});
  }
}

}  // namespace

void add_known_tokens(text::TokenizerSpec& spec, bool retype) {
  const std::vector<bool> added = ids_of_added(spec);
  for (std::size_t id = 0; id < spec.tokens.size(); ++id) {
    const std::string& token = spec.tokens[id];
    if (token.empty() || added[id] || !is_known(token)) continue;
    spec.added_tokens.push_back(
        {.id = static_cast<std::int32_t>(id), .content = token, .special = true});
  }
  if (!retype) return;
  for (text::AddedToken& token : spec.added_tokens) {
    if (is_known(token.content)) token.special = true;
  }
}

void add_config_tokens(text::TokenizerSpec& spec, const json& tokenizer_config) {
  if (!tokenizer_config.is_object()) return;
  const auto entries = tokenizer_config.find("added_tokens_decoder");
  if (entries != tokenizer_config.end()) add_decoder_entries(spec, *entries);
  const std::vector<bool> added = ids_of_added(spec);
  for (const char* key : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                          "cls_token", "mask_token"}) {
    const auto found = tokenizer_config.find(key);
    const std::string_view text = found == tokenizer_config.end() ? "" : token_text(*found);
    if (text.empty()) continue;
    const auto token = std::find(spec.tokens.begin(), spec.tokens.end(), text);
    if (token == spec.tokens.end()) continue;
    const auto id = static_cast<std::size_t>(token - spec.tokens.begin());
    const auto same = [&](const text::AddedToken& other) { return other.content == text; };
    if (added[id] || std::any_of(spec.added_tokens.begin(), spec.added_tokens.end(), same)) {
      continue;
    }
    spec.added_tokens.push_back(
        {.id = static_cast<std::int32_t>(id), .content = *token, .special = true});
  }
}

std::optional<std::int32_t> message_end(const text::TokenizerSpec& spec) {
  const text::AddedToken* end = added_token(spec, kMessageEnd);
  if (end == nullptr) return std::nullopt;
  const auto has = [&](std::string_view content) { return added_token(spec, content) != nullptr; };
  const bool calls = has("<|call|>") || has("<|calls|>");
  const bool other_ends = calls && (has("<|return|>") || has("<|flush|>"));
  if (!other_ends && !(has("<|channel|>") && has("<|message|>"))) return std::nullopt;
  return end->id;
}

std::vector<std::int32_t> known_ends(const text::TokenizerSpec& spec) {
  const auto not_an_end = message_end(spec);
  std::vector<std::int32_t> ends;
  for (const text::AddedToken& token : spec.added_tokens) {
    const bool end = is_end(token.content) || (token.special && token.content == kEndIfControl);
    if (end && token.id != not_an_end) ends.push_back(token.id);
  }
  std::sort(ends.begin(), ends.end());
  return ends;
}

}  // namespace pajamas::model
