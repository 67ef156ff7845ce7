// Sets of code points, and the named ones that a pre-tokenizer pattern can ask for.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "text/unicode_tables.h"

namespace pajamas::text {

// A set of code points, filled in any order.
class CodePointSet {
 public:
  CodePointSet() = default;
  explicit CodePointSet(std::span<const CodePointRange> ranges)
      : parts_(ranges.begin(), ranges.end()) {}

  void add(std::uint32_t first, std::uint32_t last) { parts_.push_back({first, last}); }
  void add(const CodePointSet& other) {
    parts_.insert(parts_.end(), other.parts_.begin(), other.parts_.end());
  }
  bool empty() const noexcept { return parts_.empty(); }

  // The set as sorted ranges that neither touch nor overlap.
  std::vector<CodePointRange> ranges() const;
  // Everything from 0 to U+10FFFF that is not in this set.
  CodePointSet complement() const;

 private:
  std::vector<CodePointRange> parts_;
};

// Whether a code point lies in sorted, disjoint ranges.
bool contains(std::span<const CodePointRange> sorted, std::uint32_t code_point) noexcept;

// The set that `\p{name}` stands for: a general category ("Lu"), a group of them ("L"), or a
// script ("Han"); upper and lower case, spaces, '-' and '_' in the name do not matter.
std::optional<CodePointSet> property(std::string_view name);

}  // namespace pajamas::text
