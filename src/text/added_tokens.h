// Finds added tokens that stand in a text.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/tokenizer_spec.h"

namespace pajamas::text {

// Leftmost first, the longest of those that start there; matches do not overlap.
class AddedTokenMatcher {
 public:
  // Longer tokens are refused: looking for one costs its length at every place of a text.
  static constexpr std::size_t kMaxLength = 512;

  // `content[i]` is what to look for instead of tokens[i].content (normalized, say).
  AddedTokenMatcher(std::span<const AddedToken> tokens, std::span<const std::string> content);

  // Either a token's id or, where id < 0, text without any.
  using Emit = std::function<void(std::int32_t id, std::string_view piece)>;

  // Cuts valid UTF-8. With `special` off, special tokens are text like any other (which no other
  // token inside them can change).
  void split(std::string_view text, bool special, const Emit& emit) const;

 private:
  struct Rule {
    std::int32_t id;
    bool special, single_word, lstrip, rstrip;
  };
  struct Match {
    std::size_t length = 0;
    std::int32_t rule = -1;
  };
  void insert(std::string_view content, std::int32_t rule);
  Match longest_at(std::string_view text, std::size_t at) const;

  std::vector<Rule> rules_;
  std::array<bool, 256> first_byte_{};
  // A trie: (node << 8 | byte) -> node; rule_of_[node] is the token that ends there, or -1.
  std::unordered_map<std::uint64_t, std::uint32_t> edges_;
  std::vector<std::int32_t> rule_of_{-1};
};

}  // namespace pajamas::text
