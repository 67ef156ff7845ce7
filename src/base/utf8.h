// What well-formed UTF-8 is: the Unicode Standard, table 3-7. No overlong forms, no surrogates,
// nothing beyond U+10FFFF.
#pragma once

#include <cstddef>
#include <string_view>

namespace pajamas {

// What stands at the front of a text: a character, or bytes that belong together as the longest
// start of one, at least one byte.
struct Utf8Front {
  std::size_t bytes;
  bool whole;      // they are a character
  bool may_go_on;  // they are the start of one, and the text ends there
};

// `text` is not empty.
constexpr Utf8Front utf8_front(std::string_view text) noexcept {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {1, true, false};
  if (lead < 0xC2 || lead > 0xF4) return {1, false, false};
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  std::size_t good = 1;
  for (; good < length && good < text.size(); ++good) {
    const auto byte = static_cast<unsigned char>(text[good]);
    if (byte < low || byte > high) break;
    low = 0x80, high = 0xBF;  // the lead bounds the second byte alone
  }
  return {good, good == length, good < length && good == text.size()};
}

}  // namespace pajamas
