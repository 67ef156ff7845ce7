// The 256 letters in which a byte-level vocabulary spells its bytes: printable Latin-1 stands for
// itself, the other bytes are U+0100 and up in order (a space is 'Ġ').
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pajamas::text {

// The letter of each byte, as a code point.
const std::array<std::uint16_t, 256>& byte_letters();

// The bytes that a token's spelling (valid UTF-8) stands for; nothing where it has other letters.
std::optional<std::string> bytes_of_spelling(std::string_view spelling);

std::string spelling_of_bytes(std::string_view bytes);

}  // namespace pajamas::text
