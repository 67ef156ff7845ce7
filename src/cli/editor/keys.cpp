#include "cli/editor/keys.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "text/utf8.h"

namespace pajamas::cli {
namespace {

using Code = Key::Code;

constexpr char kEscape = '\x1b';
constexpr std::string_view kPasteEnd = "\x1b[201~";
constexpr std::size_t kMaxSequence = 64;  // bytes; what is longer is no key
constexpr std::string_view kUnreadable = "\xEF\xBF\xBD";

// A key and the bytes that it took; none: it is not complete.
struct Parsed {
  std::size_t size = 0;
  Key key;
};
using Attempt = std::optional<Parsed>;

unsigned char byte_at(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

Key plain(Code code) { return {.code = code, .text = {}}; }

Key from_letter(char final) {
  switch (final) {
    case 'A':
      return plain(Code::kUp);
    case 'B':
      return plain(Code::kDown);
    case 'C':
      return plain(Code::kRight);
    case 'D':
      return plain(Code::kLeft);
    case 'F':
      return plain(Code::kEnd);
    case 'H':
      return plain(Code::kHome);
    case 'M':  // of the keypad
      return plain(Code::kEnter);
    default:
      return {};
  }
}

// CSI number ~
Key from_number(unsigned number) {
  switch (number) {
    case 1:
    case 7:
      return plain(Code::kHome);
    case 3:
      return plain(Code::kDelete);
    case 4:
    case 8:
      return plain(Code::kEnd);
    case 5:
      return plain(Code::kPageUp);
    case 6:
      return plain(Code::kPageDown);
    default:
      return {};
  }
}

Key from_control(unsigned char byte) {
  switch (byte) {
    case '\r':
    case '\n':  // Enter, where it was pressed before the terminal was ours
      return plain(Code::kEnter);
    case '\t':
      return plain(Code::kTab);
    case '\b':
    case 0x7f:
      return plain(Code::kBackspace);
    default: {
      Key key = plain(Code::kCharacter);
      const bool letter = byte >= 1 && byte <= 26;
      key.text = std::string(1, static_cast<char>(byte + (letter ? 0x60 : 0x40)));
      key.control = true;
      return key;
    }
  }
}

// A code point as xterm's modifyOtherKeys and CSI u name keys.
Key from_code_point(unsigned value) {
  if (value < 0x20 || value == 0x7f) return value == kEscape ? Key{} : from_control(value & 0x7f);
  if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return {};
  Key key = plain(Code::kCharacter);
  text::append_utf8(key.text, value);
  return key;
}

void set_modifiers(Key& key, unsigned value) {  // 1 + bits
  const unsigned bits = value == 0 ? 0 : value - 1;
  key.shift = (bits & 1) != 0;
  key.alt = key.alt || (bits & (2 | 8)) != 0;
  key.control = key.control || (bits & 4) != 0;
}

// "1;5" as numbers; what is left out is 0.
std::array<unsigned, 3> numbers_of(std::string_view parameters) {
  std::array<unsigned, 3> numbers{};
  for (unsigned& number : numbers) {
    const std::size_t end = std::min(parameters.find(';'), parameters.size());
    (void)std::from_chars(parameters.data(), parameters.data() + end, number);
    parameters.remove_prefix(std::min(end + 1, parameters.size()));
  }
  return numbers;
}

Key from_csi(std::string_view parameters, char final) {
  const auto numbers = numbers_of(parameters);
  Key key;
  switch (final) {
    case '~':
      if (numbers[0] == 200) {
        key = plain(Code::kPaste);
      } else if (numbers[0] == 27 && numbers[2] != 0) {
        key = from_code_point(numbers[2]);
      } else {
        key = from_number(numbers[0]);
      }
      set_modifiers(key, numbers[1]);
      return key;
    case '^':  // rxvt: with Ctrl
      key = from_number(numbers[0]);
      key.control = true;
      return key;
    case 'u':
      key = from_code_point(numbers[0]);
      set_modifiers(key, numbers[1]);
      return key;
    case 'Z':
      key = plain(Code::kTab);
      key.shift = true;
      return key;
    default:
      key = from_letter(final);
      // "ESC [ 5 D" is what old terminals send for "ESC [ 1 ; 5 D".
      set_modifiers(key, numbers[1] != 0 ? numbers[1] : numbers[0]);
      return key;
  }
}

// `text` begins with ESC [.
Attempt parse_csi(std::string_view text) {
  if (text.starts_with("\x1b[[")) {  // function keys of the Linux console
    if (text.size() < 4) return std::nullopt;
    return Parsed{4, {}};
  }
  for (std::size_t i = 2; i < text.size(); ++i) {
    const unsigned char byte = byte_at(text, i);
    if (byte >= 0x40 && byte <= 0x7e) {
      return Parsed{i + 1, from_csi(text.substr(2, i - 2), text[i])};
    }
    if (byte < 0x20 || byte > 0x7e || i > kMaxSequence) return Parsed{i, {}};
  }
  return std::nullopt;
}

Attempt parse_character(std::string_view text) {
  const unsigned char lead = byte_at(text, 0);
  const std::size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  const std::string_view bytes = text.substr(0, std::min(size, text.size()));
  Key key = plain(Code::kCharacter);
  for (std::size_t i = 1; i < bytes.size(); ++i) {
    if ((byte_at(bytes, i) & 0xC0) != 0x80) {
      key.text = kUnreadable;
      return Parsed{i, key};
    }
  }
  const bool lone = lead >= 0x80 && (lead < 0xC2 || lead > 0xF4);
  if (!lone && bytes.size() < size) return std::nullopt;
  const bool valid = !lone && text::find_invalid_utf8(bytes) == std::string_view::npos;
  key.text = valid ? bytes : kUnreadable;
  return Parsed{lone ? 1 : size, key};
}

Attempt parse_key(std::string_view text);

// `text` begins with ESC.
Attempt parse_escape(std::string_view text) {
  if (text.size() < 2) return std::nullopt;
  if (text[1] == '[') return parse_csi(text);
  if (text[1] == 'O') {
    if (text.size() < 3) return std::nullopt;
    Key key;
    if (text[2] >= 'a' && text[2] <= 'd') {  // rxvt: with Ctrl
      key = from_letter(static_cast<char>(text[2] - 'a' + 'A'));
      key.control = true;
    } else {
      key = from_letter(text[2]);
    }
    return Parsed{3, key};
  }
  // Also ESC ESC [ D: Alt before a key that is a sequence itself.
  const std::size_t escapes = std::min(text.find_first_not_of(kEscape), text.size());
  const std::size_t kept = escapes > 1 && text.substr(escapes).starts_with('[') ? 1 : 0;
  Attempt rest = escapes == text.size() ? std::nullopt : parse_key(text.substr(escapes - kept));
  if (!rest) return std::nullopt;
  rest->size += escapes - kept;
  rest->key.alt = true;
  return rest;
}

Attempt parse_key(std::string_view text) {
  const unsigned char first = byte_at(text, 0);
  if (first == kEscape) return parse_escape(text);
  if (first < 0x20 || first == 0x7f) return Parsed{1, from_control(first)};
  return parse_character(text);
}

}  // namespace

std::optional<Key> KeyDecoder::next() {
  if (pasting_) return pasted();
  if (bytes_.empty()) return std::nullopt;
  const Attempt parsed = parse_key(bytes_);
  if (!parsed) return std::nullopt;
  bytes_.erase(0, parsed->size);
  if (parsed->key.code != Code::kPaste) return parsed->key;
  pasting_ = true;
  searched_ = 0;
  return pasted();
}

std::optional<Key> KeyDecoder::pasted() {
  const std::size_t end = bytes_.find(kPasteEnd, searched_);
  if (end == std::string::npos) {
    searched_ = bytes_.size() - std::min(bytes_.size(), kPasteEnd.size() - 1);
    return std::nullopt;
  }
  Key key{.code = Code::kPaste, .text = bytes_.substr(0, end)};
  bytes_.erase(0, end + kPasteEnd.size());
  pasting_ = false;
  return key;
}

void KeyDecoder::clear() {
  bytes_.clear();
  pasting_ = false;
}

std::string editable_text(std::string_view bytes) {
  const std::string valid = text::utf8_lossy(bytes);
  std::string out;
  out.reserve(valid.size());
  for (std::size_t at = 0; at < valid.size();) {
    const auto [value, end] = text::decode_code_point(valid, at);
    if (value == '\r') {
      if (end == valid.size() || valid[end] != '\n') out += '\n';
    } else if (value == '\n' || value == '\t' ||
               (value >= ' ' && value != 0x7f && !(value >= 0x80 && value < 0xa0))) {
      out.append(valid, at, end - at);
    }
    at = end;
  }
  return out;
}

}  // namespace pajamas::cli
