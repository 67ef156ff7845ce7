#include "jinja/text.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "jinja/casing.h"

namespace pajamas::jinja {
namespace {

utf8proc_category_t category(char32_t point) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(point));
}

bool in(utf8proc_category_t c, utf8proc_category_t low, utf8proc_category_t high) {
  return low <= c && c <= high;
}

unsigned char byte_at(std::string_view text, std::size_t i) {
  return static_cast<unsigned char>(text[i]);
}

void append_upper(String& out, char32_t point) {
  if (point < 0x80) {
    out += static_cast<char>(point >= 'a' && point <= 'z' ? point - 0x20 : point);
  } else if (const auto special = special_upper(point); !special.empty()) {
    out += special;
  } else {
    append_point(out,
                 static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(point))));
  }
}

void append_title(String& out, char32_t point) {
  if (const auto special = special_title(point); !special.empty()) {
    out += special;
  } else {
    append_point(out,
                 static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(point))));
  }
}

bool is_cased(char32_t point) { return is_lower(point) || is_upper(point) || is_title(point); }

// Word_Break in {MidLetter, MidNumLet, Single_Quote}, or Mn, Me, Cf, Lm, Sk.
bool is_case_ignorable(char32_t point) {
  const auto c = category(point);
  switch (point) {
    case U'\'':
    case U'.':
    case U':':
    case U'^':
    case U'`':
    case 0xA8:
    case 0xAD:
    case 0xAF:
    case 0xB4:
    case 0xB7:
    case 0xB8:
    case 0x387:
    case 0x55F:
    case 0x5F4:
    case 0x2018:
    case 0x2019:
    case 0x2024:
    case 0x2027:
    case 0xFE13:
    case 0xFE52:
    case 0xFE55:
    case 0xFF07:
    case 0xFF0E:
    case 0xFF1A:
      return true;
    default:
      return c == UTF8PROC_CATEGORY_MN || c == UTF8PROC_CATEGORY_ME || c == UTF8PROC_CATEGORY_CF ||
             c == UTF8PROC_CATEGORY_LM || c == UTF8PROC_CATEGORY_SK;
  }
}

constexpr char32_t kCapitalSigma = 0x3A3;

// A capital sigma at the end of a word has a lower case form of its own.
bool is_final_sigma(std::string_view text, std::size_t begin, std::size_t end) {
  bool before = false;
  for (std::size_t pos = begin; pos > 0;) {
    do --pos;
    while (is_continuation(text[pos]));
    std::size_t at = pos;
    const char32_t point = next_point(text, at);
    if (is_case_ignorable(point)) continue;
    before = is_cased(point);
    break;
  }
  if (!before) return false;
  while (end < text.size()) {
    const char32_t point = next_point(text, end);
    if (!is_case_ignorable(point)) return !is_cased(point);
  }
  return true;
}

void append_lower(String& out, std::string_view text, std::size_t begin, std::size_t end,
                  char32_t point) {
  if (point < 0x80) {
    out += static_cast<char>(point >= 'A' && point <= 'Z' ? point + 0x20 : point);
  } else if (point == kCapitalSigma) {
    append_point(out, is_final_sigma(text, begin, end) ? 0x3C2 : 0x3C3);
  } else if (point == 0x130) {
    out += "i\xCC\x87";
  } else {
    append_point(out,
                 static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(point))));
  }
}

// Calls fn(point, begin, end) for every code point.
template <class Fn>
void for_points(std::string_view text, Fn&& fn) {
  charge_bytes(text.size(), kBytesDecoded);
  for (std::size_t pos = 0; pos < text.size();) {
    const std::size_t begin = pos;
    const char32_t point = next_point(text, pos);
    fn(point, begin, pos);
  }
}

// The code points of a text, to be asked for one after the other.
class PointSet {
 public:
  explicit PointSet(std::string_view chars) {
    for_points(chars, [&](char32_t p, std::size_t, std::size_t) { points_.push_back(p); });
    charge(points_.size());
    std::sort(points_.begin(), points_.end());
  }
  bool operator()(char32_t point) const {
    return std::binary_search(points_.begin(), points_.end(), point);
  }

 private:
  Vector<char32_t> points_;
};

template <class Test>
std::string_view strip_left_if(std::string_view text, Test&& test) {
  Meter meter;
  std::size_t pos = 0;
  while (pos < text.size()) {
    meter.reach(pos);
    std::size_t next = pos;
    if (!test(next_point(text, next))) break;
    pos = next;
  }
  return text.substr(pos);
}

template <class Test>
std::string_view strip_right_if(std::string_view text, Test&& test) {
  Meter meter;
  std::size_t end = text.size();
  while (end > 0) {
    meter.reach(text.size() - end);
    std::size_t pos = end - 1;
    while (pos > 0 && is_continuation(text[pos])) --pos;
    std::size_t at = pos;
    if (!test(next_point(text, at))) break;
    end = pos;
  }
  return text.substr(0, end);
}

}  // namespace

bool is_valid_utf8(std::string_view text) {
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  auto left = static_cast<utf8proc_ssize_t>(text.size());
  while (left > 0) {
    if (*bytes < 0x80) {
      ++bytes, --left;
      continue;
    }
    utf8proc_int32_t point = 0;
    const auto used = utf8proc_iterate(bytes, left, &point);
    if (used <= 0) return false;
    bytes += used;
    left -= used;
  }
  return true;
}

std::size_t count_points(std::string_view text) {
  std::size_t continuations = 0, pos = 0;
  for (; pos + 8 <= text.size(); pos += 8) {
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, text.data() + pos, 8);
    // Bit 7 set and bit 6 not.
    const std::uint64_t found = (bytes >> 7) & ~(bytes >> 6) & 0x0101010101010101u;
    continuations += static_cast<std::size_t>(std::popcount(found));
  }
  for (; pos < text.size(); ++pos) continuations += is_continuation(text[pos]);
  return text.size() - continuations;
}

char32_t next_point(std::string_view text, std::size_t& pos) {
  const unsigned char lead = byte_at(text, pos++);
  if (lead < 0x80) return lead;
  const int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
  char32_t point = lead & (0x3F >> more);
  for (int i = 0; i < more && pos < text.size(); ++i) {
    point = (point << 6) | (byte_at(text, pos++) & 0x3F);
  }
  return point;
}

void append_point(String& out, char32_t point) {
  if (point < 0x80) {
    out += static_cast<char>(point);
    return;
  }
  utf8proc_uint8_t bytes[4];
  const auto n = utf8proc_encode_char(static_cast<utf8proc_int32_t>(point), bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(n));
}

std::size_t byte_offset(std::string_view text, std::size_t index) {
  std::size_t pos = 0;
  while (pos < text.size() && index > 0) {
    ++pos;
    while (pos < text.size() && is_continuation(text[pos])) ++pos;
    --index;
  }
  return pos;
}

bool is_space(char32_t point) {
  return (point >= 9 && point <= 13) || (point >= 28 && point <= 32) || point == 0x85 ||
         point == 0xA0 || point == 0x1680 || (point >= 0x2000 && point <= 0x200A) ||
         point == 0x2028 || point == 0x2029 || point == 0x202F || point == 0x205F ||
         point == 0x3000;
}

bool is_line_break(char32_t point) {
  return (point >= 10 && point <= 13) || (point >= 28 && point <= 30) || point == 0x85 ||
         point == 0x2028 || point == 0x2029;
}

bool is_alpha(char32_t point) {
  if (point < 0x80) return (point | 0x20) >= 'a' && (point | 0x20) <= 'z';
  return in(category(point), UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LO);
}
bool is_decimal(char32_t point) { return category(point) == UTF8PROC_CATEGORY_ND; }
bool is_digit(char32_t point) { return is_decimal(point) || is_digit_not_decimal(point); }
bool is_numeric(char32_t point) {
  return in(category(point), UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NO) ||
         is_numeric_not_number(point);
}
bool is_alnum(char32_t point) { return is_alpha(point) || is_numeric(point); }
bool is_lower(char32_t point) {
  if (point < 0x80) return point >= 'a' && point <= 'z';
  return category(point) == UTF8PROC_CATEGORY_LL || is_other_lower(point);
}
bool is_upper(char32_t point) {
  if (point < 0x80) return point >= 'A' && point <= 'Z';
  return category(point) == UTF8PROC_CATEGORY_LU || is_other_upper(point);
}
bool is_title(char32_t point) { return point >= 0x80 && category(point) == UTF8PROC_CATEGORY_LT; }

bool is_printable(char32_t point) {
  if (point < 0x80) return point >= ' ' && point < 0x7F;
  const auto c = category(point);
  return c != UTF8PROC_CATEGORY_CN && !in(c, UTF8PROC_CATEGORY_ZS, UTF8PROC_CATEGORY_CO);
}

bool is_name_start(char32_t point) {
  return point == '_' || is_alpha(point) || category(point) == UTF8PROC_CATEGORY_NL;
}

bool is_name_char(char32_t point) {
  if (is_name_start(point) || is_decimal(point)) return true;
  const auto c = category(point);
  return c == UTF8PROC_CATEGORY_MN || c == UTF8PROC_CATEGORY_MC || c == UTF8PROC_CATEGORY_PC;
}

String to_upper(std::string_view text) {
  String out;
  out.reserve(text.size());
  for_points(text, [&](char32_t p, std::size_t, std::size_t) { append_upper(out, p); });
  return out;
}

String to_lower(std::string_view text) {
  String out;
  out.reserve(text.size());
  for_points(text, [&](char32_t p, std::size_t begin, std::size_t end) {
    append_lower(out, text, begin, end, p);
  });
  return out;
}

String to_title(std::string_view text) {
  String out;
  out.reserve(text.size());
  bool inside = false;
  for_points(text, [&](char32_t p, std::size_t begin, std::size_t end) {
    if (inside) {
      append_lower(out, text, begin, end, p);
    } else {
      append_title(out, p);
    }
    inside = is_cased(p);
  });
  return out;
}

String to_capitalized(std::string_view text) {
  String out;
  out.reserve(text.size());
  for_points(text, [&](char32_t p, std::size_t begin, std::size_t end) {
    if (begin == 0) {
      append_title(out, p);
    } else {
      append_lower(out, text, begin, end, p);
    }
  });
  return out;
}

String swap_case(std::string_view text) {
  String out;
  out.reserve(text.size());
  for_points(text, [&](char32_t p, std::size_t begin, std::size_t end) {
    if (is_upper(p)) {
      append_lower(out, text, begin, end, p);
    } else if (is_lower(p)) {
      append_upper(out, p);
    } else {
      append_point(out, p);
    }
  });
  return out;
}

String fold_case(std::string_view text) {
  String out;
  out.reserve(text.size());
  for_points(text, [&](char32_t p, std::size_t, std::size_t) {
    if (const auto special = special_fold(p); !special.empty()) {
      out += special;
      return;
    }
    // Full folding of one code point; what utf8proc cannot fold stays.
    utf8proc_int32_t folded[8];
    const auto n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(p), folded, 8,
                                           UTF8PROC_CASEFOLD, nullptr);
    if (n != 1) {
      append_point(out, p);
    } else {
      append_point(out, static_cast<char32_t>(folded[0]));
    }
  });
  return out;
}

std::string_view strip_left(std::string_view text) { return strip_left_if(text, is_space); }
std::string_view strip_right(std::string_view text) { return strip_right_if(text, is_space); }
std::string_view strip_left(std::string_view text, std::string_view chars) {
  return strip_left_if(text, PointSet(chars));
}
std::string_view strip_right(std::string_view text, std::string_view chars) {
  return strip_right_if(text, PointSet(chars));
}

void append_repr_of_text(String& out, std::string_view text) {
  charge_bytes(text.size(), kBytesSearched);
  const bool has_single = text.find('\'') != std::string_view::npos;
  const bool has_double = text.find('"') != std::string_view::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  out += quote;
  for_points(text, [&](char32_t p, std::size_t, std::size_t) {
    if (p == static_cast<char32_t>(quote) || p == '\\') {
      out += '\\';
      out += static_cast<char>(p);
    } else if (p == '\n' || p == '\r' || p == '\t') {
      out += p == '\n' ? "\\n" : p == '\r' ? "\\r" : "\\t";
    } else if (is_printable(p)) {
      append_point(out, p);
    } else if (const auto code = static_cast<std::uint32_t>(p); code < 0x100) {
      out += fmt::format("\\x{:02x}", code);
    } else {
      out += code < 0x10000 ? fmt::format("\\u{:04x}", code) : fmt::format("\\U{:08x}", code);
    }
  });
  out += quote;
}

String escape_html(std::string_view text) {
  charge_bytes(text.size(), kBytesDecoded);
  String out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace pajamas::jinja
