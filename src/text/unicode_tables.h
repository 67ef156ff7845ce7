// Unicode as the reference tokenizer knows it. The data is generated: tools/make_unicode_tables.py.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace pajamas::text {

// Both ends belong to the range.
struct CodePointRange {
  std::uint32_t first;
  std::uint32_t last;
  bool operator==(const CodePointRange&) const = default;
};

namespace tables {

struct Script {
  std::string_view name;
  std::span<const CodePointRange> ranges;
};

// Each entry is `start | category << 24`: from `start` to the next entry's start the general
// category is the one of that number in kCategoryNames. Sorted by start; covers 0 to 0x10FFFF.
extern const std::span<const std::uint32_t> kCategoryChanges;

inline constexpr std::string_view kCategoryNames[] = {
    "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe",
    "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn"};

extern const std::span<const CodePointRange> kSpace;  // \s
extern const std::span<const CodePointRange> kWord;   // \w
// What NFC may change, move or combine in the reference's (older) version of Unicode.
extern const std::span<const CodePointRange> kNfcActive;
// The word characters that matter beside an added token with `single_word` differ a little.
extern const std::span<const CodePointRange> kWordButNotInAddedTokens;
extern const std::span<const CodePointRange> kWordOnlyInAddedTokens;
extern const std::span<const Script> kScripts;

}  // namespace tables
}  // namespace pajamas::text
