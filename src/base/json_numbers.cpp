#include "base/json_numbers.h"

#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

namespace pajamas {
namespace {

using nlohmann::json;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The stand-in is a string of as many deletes as make it as long as the word.
struct Word {
  std::string_view python;
  std::string_view stand_in;  // without its quotes
  double value;
};
constexpr std::array<Word, 3> kWords{{
    {"NaN", "\x7f", std::numeric_limits<double>::quiet_NaN()},
    {"Infinity", "\x7f\x7f\x7f\x7f\x7f\x7f", kInfinity},
    {"-Infinity", "\x7f\x7f\x7f\x7f\x7f\x7f\x7f", -kInfinity},
}};

const Word* word_of(double value) noexcept {
  if (std::isfinite(value)) return nullptr;
  return std::isnan(value) ? &kWords[0] : value > 0 ? &kWords[1] : &kWords[2];
}

bool continues_word(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

// The word that begins at `at`, where a token may begin.
const Word* word_at(std::string_view text, std::size_t at) noexcept {
  for (const Word& word : kWords) {
    if (!text.substr(at).starts_with(word.python)) continue;
    const std::size_t end = at + word.python.size();
    if (end == text.size() || !continues_word(text[end])) return &word;
  }
  return nullptr;
}

// Just after the quote that ends the string whose first quote is at `at`.
std::size_t after_string(std::string_view text, std::size_t at) noexcept {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return at + 1;
}

// Calls fn for every value of the document; hostile nesting must not use up the stack.
template <class Json, class Fn>
void for_each_value(Json& document, Fn&& fn) {
  std::vector<Json*> open{&document};
  while (!open.empty()) {
    Json& value = *open.back();
    open.pop_back();
    fn(value);
    if (!value.is_structured()) continue;
    for (auto& inside : value) open.push_back(&inside);
  }
}

const Word* tagged(const json& value) {
  if (!value.is_object() || value.size() != 1) return nullptr;
  const auto tag = value.find("__float__");
  if (tag == value.end() || !tag->is_string()) return nullptr;
  for (const Word& word : kWords) {
    if (tag->get_ref<const std::string&>() == word.python) return &word;
  }
  return nullptr;
}

}  // namespace

std::optional<std::string> quote_non_finite(std::string_view text) {
  std::optional<std::string> quoted;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '"') {
      at = after_string(text, at);
    } else if (const Word* word = word_at(text, at)) {
      if (!quoted) quoted.emplace(text);
      (*quoted)[at] = (*quoted)[at + word->python.size() - 1] = '"';
      quoted->replace(at + 1, word->stand_in.size(), word->stand_in);
      at += word->python.size();
    } else if (continues_word(text[at])) {
      while (at < text.size() && continues_word(text[at])) ++at;
    } else {
      ++at;
    }
  }
  return quoted;
}

std::optional<double> quoted_non_finite(std::string_view text) noexcept {
  for (const Word& word : kWords) {
    if (text == word.stand_in) return word.value;
  }
  return std::nullopt;
}

void restore_non_finite(json& document, bool quoted) {
  for_each_value(document, [&](json& value) {
    if (const Word* word = tagged(value)) value = word->value;
    if (!quoted || !value.is_string()) return;
    if (const auto number = quoted_non_finite(value.get_ref<const std::string&>())) value = *number;
  });
}

std::string dump_json(const json& document, int indent) {
  bool any = false;
  json marked = document;
  for_each_value(marked, [&](json& value) {
    const Word* word = value.is_number_float() ? word_of(value.get<double>()) : nullptr;
    if (word == nullptr) return;
    value = std::string(word->stand_in);
    any = true;
  });
  std::string text = marked.dump(indent);
  if (!any) return text;
  for (std::size_t at = 0; (at = text.find('"', at)) < text.size();) {
    const std::size_t end = after_string(text, at);
    const std::string_view inside = std::string_view(text).substr(at + 1, end - at - 2);
    for (const Word& word : kWords) {
      if (inside == word.stand_in && text[end] != ':') text.replace(at, end - at, word.python);
    }
    at = end;
  }
  return text;
}

}  // namespace pajamas
