#include "runtime/utf8_stream.h"

#include <cstddef>
#include <cstdint>
#include <utility>

namespace pajamas::runtime {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

struct Lead {
  std::size_t length;  // of the character, 0 where no character starts so
  std::uint8_t low;    // what its second byte may be
  std::uint8_t high;
};

// The Unicode Standard, table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF.
Lead lead_of(std::uint8_t byte) noexcept {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2 || byte > 0xF4) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte < 0xF0) {
    return {3, static_cast<std::uint8_t>(byte == 0xE0 ? 0xA0 : 0x80),
            static_cast<std::uint8_t>(byte == 0xED ? 0x9F : 0xBF)};
  }
  return {4, static_cast<std::uint8_t>(byte == 0xF0 ? 0x90 : 0x80),
          static_cast<std::uint8_t>(byte == 0xF4 ? 0x8F : 0xBF)};
}

// How many bytes at the front of `text` begin one character well.
std::size_t good_bytes(std::string_view text, const Lead& lead) noexcept {
  std::size_t count = 1;
  while (count < lead.length && count < text.size()) {
    const auto byte = static_cast<std::uint8_t>(text[count]);
    const bool good = count == 1 ? byte >= lead.low && byte <= lead.high : (byte & 0xC0) == 0x80;
    if (!good) break;
    ++count;
  }
  return count;
}

}  // namespace

std::string Utf8Stream::push(std::string_view bytes) {
  pending_ += bytes;
  std::string out;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Lead lead = lead_of(static_cast<std::uint8_t>(rest.front()));
    const std::size_t good = good_bytes(rest, lead);
    if (lead.length > good && good == rest.size()) break;  // the rest may still come
    out += good == lead.length ? rest.substr(0, good) : kReplacement;
    rest.remove_prefix(good);
  }
  pending_ = std::string(rest);
  return out;
}

std::string Utf8Stream::finish() {
  return std::exchange(pending_, {}).empty() ? std::string() : std::string(kReplacement);
}

}  // namespace pajamas::runtime
