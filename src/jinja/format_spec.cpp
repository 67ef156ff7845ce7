#include "jinja/format_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "jinja/text.h"

namespace pajamas::jinja {

int take_number(std::string_view text, std::size_t& pos) {
  int n = 0;
  while (pos < text.size() && text[pos] >= '0' && text[pos] <= '9') {
    n = n * 10 + (text[pos++] - '0');
    if (n > 100000) fail_limit("a format wider than 100000 characters");
  }
  return n;
}

static bool is_align(char c) { return c == '<' || c == '>' || c == '^' || c == '='; }

static Spec parse_spec(std::string_view text) {
  Spec spec;
  std::size_t pos = 0;
  if (!text.empty()) {
    std::size_t after = 0;
    next_point(text, after);
    if (after < text.size() && is_align(text[after])) {
      spec.fill = text.substr(0, after);
      spec.align = text[after];
      pos = after + 1;
    } else if (is_align(text[0])) {
      spec.align = text[0];
      pos = 1;
    }
  }
  const auto at = [&](char c) { return pos < text.size() && text[pos] == c; };
  if (at('+') || at('-') || at(' ')) spec.sign = text[pos++];
  if (at('#')) spec.alternate = true, ++pos;
  if (at('0')) {
    ++pos;
    if (!spec.align) spec.align = '=', spec.fill = '0';
  }
  spec.width = take_number(text, pos);
  if (at(',') || at('_')) spec.grouping = text[pos++];
  if (at('.')) {
    const std::size_t digits = ++pos;
    spec.precision = take_number(text, pos);
    if (pos == digits) fail("Format specifier missing precision");
  }
  if (pos < text.size()) spec.type = text[pos++];
  if (pos != text.size()) fail("Invalid format specifier");
  return spec;
}

String pad(std::string_view sign, std::string_view body, const Spec& spec, char fallback) {
  const char align = spec.align ? spec.align : fallback;
  charge_bytes(body.size(), kBytesCopied);
  const std::size_t size = count_points(sign) + count_points(body);
  const auto width = static_cast<std::size_t>(spec.width);
  const int n = width > size ? static_cast<int>(width - size) : 0;
  const int left = align == '<' ? 0 : align == '^' ? n / 2 : n;
  const auto fill = [&](int times) {
    String out;
    charge_bytes(static_cast<std::size_t>(times), kBytesDecoded);
    for (int i = 0; i < times; ++i) out += spec.fill;
    return out;
  };
  if (align == '=') return String(sign) + fill(n) + String(body);
  return fill(left) + String(sign) + String(body) + fill(n - left);
}

String sign_of(bool negative, char sign) {
  return negative ? "-" : sign == '+' ? "+" : sign == ' ' ? " " : "";
}

// Separators between groups of digits in front of the point.
static String grouped(const String& digits, char separator, std::size_t size) {
  if (!separator) return digits;
  const std::size_t end =
      std::min(digits.find_first_not_of("0123456789abcdefABCDEF"), digits.size());
  String out;
  for (std::size_t i = 0; i < end; ++i) {
    if (i > 0 && (end - i) % size == 0) out += separator;
    out += digits[i];
  }
  return out + digits.substr(end);
}

String digits_of(Int value, char type) {
  __extension__ typedef unsigned __int128 Unsigned;
  Unsigned rest = value < 0 ? -static_cast<Unsigned>(value) : static_cast<Unsigned>(value);
  const unsigned base = type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
  const char* const letters = type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
  String out;
  do {
    const auto digit = static_cast<std::size_t>(rest % base);
    out += letters[digit];
    rest /= base;
  } while (rest != 0);
  std::reverse(out.begin(), out.end());
  return out;
}

// The digits of a finite or infinite number without its sign.
static String float_body(double value, char type, int precision, bool alternate) {
  const double d = std::fabs(value);
  const bool upper = type == 'E' || type == 'F' || type == 'G';
  if (std::isnan(d)) return upper ? "NAN" : "nan";
  if (std::isinf(d)) return upper ? "INF" : "inf";
  if (precision < 0) precision = 6;
  precision = std::min(precision, 1000);
  // The letter of fmt is printf's.
  switch (type) {
    case 'e':
      return String(fmt::format(fmt::runtime(alternate ? "{:#.{}e}" : "{:.{}e}"), d, precision));
    case 'E':
      return String(fmt::format(fmt::runtime(alternate ? "{:#.{}E}" : "{:.{}E}"), d, precision));
    case 'g':
      return String(
          fmt::format(fmt::runtime(alternate ? "{:#.{}g}" : "{:.{}g}"), d, std::max(precision, 1)));
    case 'G':
      return String(
          fmt::format(fmt::runtime(alternate ? "{:#.{}G}" : "{:.{}G}"), d, std::max(precision, 1)));
    default:
      return String(fmt::format(fmt::runtime(alternate ? "{:#.{}f}" : "{:.{}f}"), d, precision));
  }
}

String format_float(double value, const Spec& spec) {
  String body;
  const double magnitude = std::fabs(value);
  switch (spec.type) {
    case 0:
      if (spec.precision >= 0) fail_unsupported("a float format with precision and no type");
      body = float_to_string(magnitude);
      break;
    case '%':
      body = float_body(magnitude * 100, 'f', spec.precision, spec.alternate) + "%";
      break;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      body = float_body(magnitude, spec.type, spec.precision, spec.alternate);
      break;
    default:
      fail(fmt::format("Unknown format code '{}' for object of type 'float'", spec.type));
  }
  if (spec.grouping && spec.fill == "0" && spec.width) {
    fail_unsupported("a format with zeros and separators");
  }
  return pad(sign_of(std::signbit(value) && !std::isnan(value), spec.sign),
             grouped(body, spec.grouping, 3), spec, '>');
}

String format_int(const Value& value, const Spec& spec) {
  const Int i = value.as_int();
  if (spec.type == 'c') {
    if (i < 0 || i > 0x10FFFF || (i >= 0xD800 && i < 0xE000)) fail("%c arg not in range");
    String text;
    append_point(text, static_cast<char32_t>(i));
    return pad("", text, spec, '<');
  }
  if (std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos && spec.type) {
    return format_float(value.as_double(), spec);
  }
  if (spec.type && std::string_view("dnbxXo").find(spec.type) == std::string_view::npos) {
    fail(fmt::format("Unknown format code '{}' for object of type 'int'", spec.type));
  }
  if (spec.precision >= 0) fail("Precision not allowed in integer format specifier");
  if (spec.grouping && spec.fill == "0" && spec.width) {
    fail_unsupported("a format with zeros and separators");
  }
  const bool decimal = spec.type == 0 || spec.type == 'd' || spec.type == 'n';
  String sign = sign_of(i < 0, spec.sign);
  if (spec.alternate && !decimal) sign += String("0") + spec.type;
  return pad(sign, grouped(digits_of(i, spec.type), spec.grouping, decimal ? 3 : 4), spec, '>');
}

String format_string(std::string_view text, const Spec& spec) {
  if (spec.type && spec.type != 's') {
    fail(fmt::format("Unknown format code '{}' for object of type 'str'", spec.type));
  }
  if (spec.align == '=' && spec.fill != "0") fail("'=' alignment not allowed in string format");
  if (spec.precision >= 0) {
    charge_bytes(std::min(text.size(), static_cast<std::size_t>(spec.precision)), kBytesDecoded);
    text = text.substr(0, byte_offset(text, static_cast<std::size_t>(spec.precision)));
  }
  Spec plain = spec;
  if (plain.align == '=') plain.align = '<';
  return pad("", text, plain, '<');
}

String ascii_repr(const Value& value) {
  const String text = to_repr(value);
  charge_bytes(text.size(), kBytesDecoded);
  String out;
  for (std::size_t pos = 0; pos < text.size();) {
    const auto point = static_cast<std::uint32_t>(next_point(text, pos));
    out += point < 0x80      ? std::string(1, static_cast<char>(point))
           : point < 0x100   ? fmt::format("\\x{:02x}", point)
           : point < 0x10000 ? fmt::format("\\u{:04x}", point)
                             : fmt::format("\\U{:08x}", point);
  }
  return out;
}

String format_value(const Value& value, std::string_view text) {
  if (text.empty()) return to_str(value);
  if (value.is(Kind::kString)) return format_string(value.text(), parse_spec(text));
  if (value.is(Kind::kFloat)) return format_float(value.as_double(), parse_spec(text));
  if (value.is(Kind::kInt)) return format_int(value, parse_spec(text));
  if (value.is(Kind::kBool)) {
    const Spec spec = parse_spec(text);
    // Without a type, a bool with a format is the number it is.
    return format_int(value, spec);
  }
  fail(fmt::format("unsupported format string passed to {}.__format__", type_name(value)));
}

}  // namespace pajamas::jinja
