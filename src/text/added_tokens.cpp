#include "text/added_tokens.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "text/code_points.h"
#include "text/utf8.h"

namespace pajamas::text {
namespace {

bool is_word(std::uint32_t c) {
  return (contains(tables::kWord, c) && !contains(tables::kWordButNotInAddedTokens, c)) ||
         contains(tables::kWordOnlyInAddedTokens, c);
}

bool ends_with_word(std::string_view text) {
  return !text.empty() &&
         is_word(decode_code_point(text, previous_code_point(text, text.size())).value);
}

bool starts_with_word(std::string_view text) {
  return !text.empty() && is_word(decode_code_point(text, 0).value);
}

// Where the white space that ends the text begins.
std::size_t trailing_space(std::string_view text, std::size_t not_before) {
  std::size_t at = text.size();
  while (at > not_before) {
    const std::size_t previous = previous_code_point(text, at);
    if (!contains(tables::kSpace, decode_code_point(text, previous).value)) break;
    at = previous;
  }
  return std::max(at, not_before);
}

// Where the white space that begins at `at` ends.
std::size_t leading_space(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const auto [c, end] = decode_code_point(text, at);
    if (!contains(tables::kSpace, c)) break;
    at = end;
  }
  return at;
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::span<const AddedToken> tokens,
                                     std::span<const std::string> content) {
  PJ_CHECK(tokens.size() == content.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const AddedToken& token = tokens[i];
    if (content[i].empty()) continue;
    if (content[i].size() > kMaxLength) {
      throw Error(ErrorCode::kUnsupported,
                  fmt::format("the added token with id {} has {} bytes, more than {}", token.id,
                              content[i].size(), kMaxLength));
    }
    insert(content[i], static_cast<std::int32_t>(rules_.size()));
    rules_.push_back({token.id, token.special, token.single_word, token.lstrip, token.rstrip});
  }
}

void AddedTokenMatcher::insert(std::string_view content, std::int32_t rule) {
  first_byte_[static_cast<unsigned char>(content.front())] = true;
  std::uint32_t node = 0;
  for (const char c : content) {
    const std::uint64_t edge = std::uint64_t{node} << 8 | static_cast<unsigned char>(c);
    const auto [found, is_new] =
        edges_.try_emplace(edge, static_cast<std::uint32_t>(rule_of_.size()));
    if (is_new) rule_of_.push_back(-1);
    node = found->second;
  }
  if (rule_of_[node] < 0) rule_of_[node] = rule;
}

AddedTokenMatcher::Match AddedTokenMatcher::longest_at(std::string_view text,
                                                       std::size_t at) const {
  Match best;
  std::uint32_t node = 0;
  for (std::size_t i = at; i < text.size(); ++i) {
    const auto edge = edges_.find(std::uint64_t{node} << 8 | static_cast<unsigned char>(text[i]));
    if (edge == edges_.end()) break;
    node = edge->second;
    if (rule_of_[node] >= 0) best = {i + 1 - at, rule_of_[node]};
  }
  return best;
}

void AddedTokenMatcher::split(std::string_view text, bool special, const Emit& emit) const {
  std::size_t pending = 0;  // start of the text that is not yet emitted
  for (std::size_t at = 0; at < text.size() && !rules_.empty();) {
    const Match match =
        first_byte_[static_cast<unsigned char>(text[at])] ? longest_at(text, at) : Match{};
    if (match.rule < 0) {
      ++at;
      continue;
    }
    const Rule& rule = rules_[static_cast<std::size_t>(match.rule)];
    std::size_t start = at;
    std::size_t end = at + match.length;
    at = end;
    if (rule.special && !special) continue;
    if (rule.single_word &&
        (ends_with_word(text.substr(0, start)) || starts_with_word(text.substr(end)))) {
      continue;
    }
    if (rule.lstrip) start = trailing_space(text.substr(0, start), std::min(pending, start));
    if (rule.rstrip) end = leading_space(text, end);
    if (start > pending) emit(-1, text.substr(pending, start - pending));
    emit(rule.id, text.substr(start, end - start));
    pending = end;
  }
  if (pending < text.size()) emit(-1, text.substr(pending));
}

}  // namespace pajamas::text
