// Reading numbers as Python's int() and float() do.
#include <cctype>
#include <charconv>
#include <limits>

#include "jinja/lexer.h"
#include "jinja/text.h"

namespace pajamas::jinja {
namespace {

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'z' ? lower - 'a' + 10 : 99;
}

// Takes a prefix such as 0x; returns the base, or -1 where base 0 meets "012".
int take_prefix(std::string_view& text, int base) {
  const char mark = text.size() > 1 && text[0] == '0' ? static_cast<char>(text[1] | 0x20) : '\0';
  const int named = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
  if (named != 0 && (base == 0 || base == named)) {
    text.remove_prefix(2);
    if (!text.empty() && text[0] == '_') text.remove_prefix(1);
    return named;
  }
  if (base != 0) return base;
  if (text.size() > 1 && text[0] == '0' && text.find_first_not_of("0_") != std::string_view::npos) {
    return -1;
  }
  return 10;
}

bool equals_ignoring_case(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (std::tolower(static_cast<unsigned char>(text[i])) != lower[i]) return false;
  }
  return true;
}

}  // namespace

bool parse_int(std::string_view text, int base, Int& out) {
  text = strip(text);
  bool negative = false;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  base = take_prefix(text, base);
  if (base < 0 || text.empty()) return false;
  Int value = 0;
  bool digit_before = false;
  for (const char c : text) {
    if (c == '_') {
      if (!digit_before) return false;
      digit_before = false;
      continue;
    }
    const int digit = digit_value(c);
    if (digit >= base || __builtin_mul_overflow(value, static_cast<Int>(base), &value) ||
        __builtin_add_overflow(value, static_cast<Int>(digit), &value)) {
      return false;
    }
    digit_before = true;
  }
  out = negative ? -value : value;
  return digit_before;
}

bool parse_float(std::string_view text, double& out) {
  text = strip(text);
  bool negative = false;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  charge_bytes(text.size(), kBytesDecoded);
  String digits;
  digits.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      digits += text[i];
      continue;
    }
    const auto is_digit_at = [&](std::size_t k) {
      return k < text.size() && digit_value(text[k]) < 10;
    };
    if (i == 0 || !is_digit_at(i - 1) || !is_digit_at(i + 1)) return false;
  }
  double value = 0;
  if (equals_ignoring_case(digits, "inf") || equals_ignoring_case(digits, "infinity")) {
    value = std::numeric_limits<double>::infinity();
  } else if (equals_ignoring_case(digits, "nan")) {
    value = std::numeric_limits<double>::quiet_NaN();
  } else {
    if (digits.empty() || !(digit_value(digits[0]) < 10 || digits[0] == '.')) return false;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (end != digits.data() + digits.size() || error == std::errc::invalid_argument) return false;
    if (error == std::errc::result_out_of_range) {
      // from_chars does not say which way: a negative exponent means underflow.
      value = digits.find("e-") != String::npos || digits.find("E-") != String::npos
                  ? 0.0
                  : std::numeric_limits<double>::infinity();
    }
  }
  out = negative ? -value : value;
  return true;
}

}  // namespace pajamas::jinja
