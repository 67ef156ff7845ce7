// Pre-tokenizer patterns are written for Oniguruma; they run on PCRE2.
#pragma once

#include <string>
#include <string_view>

namespace pajamas::text {

// The pattern in PCRE2's syntax (for PCRE2_UTF | PCRE2_MULTILINE, newline = LF), with every
// character class spelt out as ranges of code points, so that it follows the reference's version
// of Unicode. Throws Error{kUnsupported} for a construct that the two engines read differently
// and no published tokenizer uses, and Error{kCorruptFile} for a pattern that breaks off.
std::string to_pcre2(std::string_view pattern);

}  // namespace pajamas::text
