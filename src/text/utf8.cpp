#include "text/utf8.h"

#include <fmt/format.h>

#include <cstring>

#include "base/error.h"
#include "base/utf8.h"

namespace pajamas::text {
std::size_t find_invalid_utf8(std::string_view text) noexcept {
  std::size_t at = 0;
  while (at < text.size()) {
    if (at + 8 <= text.size()) {
      std::uint64_t block = 0;
      std::memcpy(&block, text.data() + at, 8);
      if ((block & 0x8080808080808080U) == 0) {
        at += 8;
        continue;
      }
    }
    const Utf8Front front = utf8_front(text.substr(at));
    if (!front.whole) return at;
    at += front.bytes;
  }
  return std::string_view::npos;
}

void require_utf8(std::string_view text, std::string_view what) {
  const std::size_t at = find_invalid_utf8(text);
  if (at == std::string_view::npos) return;
  throw Error(ErrorCode::kUsage,
              fmt::format("{} is not UTF-8 text: byte 0x{:02x} at offset {}", what,
                          static_cast<unsigned char>(text[at]), at),
              "convert it to UTF-8");
}

std::string utf8_lossy(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (std::size_t at = 0; at < bytes.size();) {
    const Utf8Front front = utf8_front(bytes.substr(at));
    if (front.whole) {
      out.append(bytes, at, front.bytes);
    } else {
      out += "\xEF\xBF\xBD";
    }
    at += front.bytes;
  }
  return out;
}

void append_utf8(std::string& out, std::uint32_t code_point) {
  const auto push = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    push(code_point);
  } else if (code_point < 0x800) {
    push(0xC0 | code_point >> 6);
    push(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    push(0xE0 | code_point >> 12);
    push(0x80 | (code_point >> 6 & 0x3F));
    push(0x80 | (code_point & 0x3F));
  } else {
    push(0xF0 | code_point >> 18);
    push(0x80 | (code_point >> 12 & 0x3F));
    push(0x80 | (code_point >> 6 & 0x3F));
    push(0x80 | (code_point & 0x3F));
  }
}

DecodedCodePoint decode_code_point(std::string_view valid, std::size_t at) noexcept {
  const auto byte = [&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(valid[at + i]));
  };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, at + 1};
  if (lead < 0xE0) return {(lead & 0x1F) << 6 | (byte(1) & 0x3F), at + 2};
  if (lead < 0xF0) {
    return {(lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), at + 3};
  }
  return {(lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F),
          at + 4};
}

std::size_t previous_code_point(std::string_view valid, std::size_t at) noexcept {
  do {
    --at;
  } while (at > 0 && (static_cast<unsigned char>(valid[at]) & 0xC0) == 0x80);
  return at;
}

}  // namespace pajamas::text
