// UTF-8 as text of unknown origin holds it: checked once at the border, then walked without checks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pajamas::text {

// Offset of the first byte that is no part of well-formed UTF-8 (no surrogates, no overlong forms,
// nothing beyond U+10FFFF), or npos.
std::size_t find_invalid_utf8(std::string_view text) noexcept;

// Throws Error{kUsage} that names `what` ("the prompt") and the offset where it stops being UTF-8.
void require_utf8(std::string_view text, std::string_view what);

// The text with each malformed sequence replaced by U+FFFD, as Python's errors="replace" does.
std::string utf8_lossy(std::string_view bytes);

void append_utf8(std::string& out, std::uint32_t code_point);

// One code point at `at` and the offset behind it. The text is known to be valid and at < size.
struct DecodedCodePoint {
  std::uint32_t value;
  std::size_t end;
};
DecodedCodePoint decode_code_point(std::string_view valid, std::size_t at) noexcept;

// Offset of the code point that ends right before `at` (at > 0, text known to be valid).
std::size_t previous_code_point(std::string_view valid, std::size_t at) noexcept;

}  // namespace pajamas::text
