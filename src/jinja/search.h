// Texts within texts, in time that is linear in both.
#pragma once

#include <cstdint>
#include <string_view>

#include "jinja/budget.h"

namespace pajamas::jinja {

// Looks for the same text again and again; it must outlive the search. Charges what it looks at.
class Search {
 public:
  static constexpr std::size_t kNone = std::string_view::npos;

  explicit Search(std::string_view wanted) : wanted_(wanted) {}

  // Byte offset of the first place at or behind `from` (at most the length), or kNone.
  std::size_t first(std::string_view text, std::size_t from = 0);
  // Byte offset of the last place, or kNone.
  std::size_t last(std::string_view text);

 private:
  template <bool Backwards>
  std::size_t walk(std::string_view text);

  std::size_t common(std::string_view text) const;

  std::string_view wanted_;
  Vector<std::uint32_t> borders_;  // of the beginnings of `wanted_`, or of it backwards
  bool backwards_ = false;         // which of the two
};

}  // namespace pajamas::jinja
