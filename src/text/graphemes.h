// What a reader takes for one character: a grapheme cluster (UAX #29), and its place in a terminal.
#pragma once

#include <cstddef>
#include <string_view>

namespace pajamas::text {

// Offset behind the cluster that begins at `at` < size. The text is valid UTF-8.
std::size_t next_grapheme(std::string_view valid, std::size_t at) noexcept;

// Offset of the cluster that `at` > 0 is the end of, or lies in.
std::size_t previous_grapheme(std::string_view valid, std::size_t at) noexcept;

// The end of the cluster that `at` lies in, be it amid a code point; `at` itself where that is a
// boundary.
std::size_t grapheme_boundary(std::string_view valid, std::size_t at) noexcept;

struct GraphemeColumns {
  std::size_t count = 0;
  bool certain = true;  // terminals agree; about joined emoji, flags and new characters they do not
};
GraphemeColumns grapheme_columns(std::string_view cluster) noexcept;

// It begins with a letter, a digit, a mark or a low line.
bool is_word_grapheme(std::string_view cluster) noexcept;

}  // namespace pajamas::text
