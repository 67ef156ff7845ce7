#include "text/byte_alphabet.h"

#include "text/utf8.h"

namespace pajamas::text {
namespace {

constexpr std::uint32_t kLetterLimit = 0x100 + 68;  // 188 bytes stand for themselves

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr std::array<std::uint16_t, 256> make_letters() {
  std::array<std::uint16_t, 256> letters{};
  std::uint16_t next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    letters[byte] = stands_for_itself(byte) ? static_cast<std::uint16_t>(byte) : next++;
  }
  return letters;
}

constexpr std::array<std::uint16_t, 256> kLetters = make_letters();

constexpr std::array<std::int16_t, kLetterLimit> make_bytes() {
  std::array<std::int16_t, kLetterLimit> bytes{};
  for (auto& byte : bytes) byte = -1;
  for (unsigned byte = 0; byte < 256; ++byte) {
    bytes[kLetters[byte]] = static_cast<std::int16_t>(byte);
  }
  return bytes;
}

constexpr std::array<std::int16_t, kLetterLimit> kBytes = make_bytes();

}  // namespace

const std::array<std::uint16_t, 256>& byte_letters() { return kLetters; }

std::optional<std::string> bytes_of_spelling(std::string_view spelling) {
  std::string bytes;
  bytes.reserve(spelling.size());
  for (std::size_t at = 0; at < spelling.size();) {
    const auto [letter, end] = decode_code_point(spelling, at);
    if (letter >= kLetterLimit || kBytes[letter] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(kBytes[letter]));
    at = end;
  }
  return bytes;
}

std::string spelling_of_bytes(std::string_view bytes) {
  std::string spelling;
  for (const char byte : bytes) append_utf8(spelling, kLetters[static_cast<unsigned char>(byte)]);
  return spelling;
}

}  // namespace pajamas::text
