// `"%s" % values`, `"{}".format(...)` and the format specifications of both.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "text/jinja_interpreter.h"
#include "text/jinja_text.h"

namespace pajamas::text::jinja {
namespace {

// [[fill]align][sign][#][0][width][grouping][.precision][type]
struct Spec {
  std::string fill = " ";
  char align = 0;  // < > ^ =
  char sign = '-';
  bool alternate = false;
  char grouping = 0;
  int width = 0;
  int precision = -1;
  char type = 0;
};

int take_number(std::string_view text, std::size_t& pos) {
  int n = 0;
  while (pos < text.size() && text[pos] >= '0' && text[pos] <= '9') {
    n = n * 10 + (text[pos++] - '0');
    if (n > 100000) fail_limit("a format wider than 100000 characters");
  }
  return n;
}

bool is_align(char c) { return c == '<' || c == '>' || c == '^' || c == '='; }

Spec parse_spec(std::string_view text) {
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
    if (!spec.align) spec.align = '=', spec.fill = "0";
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

std::string pad(std::string_view sign, std::string_view body, const Spec& spec, char fallback) {
  const char align = spec.align ? spec.align : fallback;
  const auto size = static_cast<int>(count_points(sign) + count_points(body));
  const int n = std::max(0, spec.width - size);
  const int left = align == '<' ? 0 : align == '^' ? n / 2 : n;
  const auto fill = [&](int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += spec.fill;
    return out;
  };
  if (align == '=') return std::string(sign) + fill(n) + std::string(body);
  return fill(left) + std::string(sign) + std::string(body) + fill(n - left);
}

std::string sign_of(bool negative, char sign) {
  return negative ? "-" : sign == '+' ? "+" : sign == ' ' ? " " : "";
}

// Separators between groups of digits in front of the point.
std::string grouped(const std::string& digits, char separator, std::size_t size) {
  if (!separator) return digits;
  const std::size_t end =
      std::min(digits.find_first_not_of("0123456789abcdefABCDEF"), digits.size());
  std::string out;
  for (std::size_t i = 0; i < end; ++i) {
    if (i > 0 && (end - i) % size == 0) out += separator;
    out += digits[i];
  }
  return out + digits.substr(end);
}

std::string digits_of(Int value, char type) {
  __extension__ typedef unsigned __int128 Unsigned;
  Unsigned rest = value < 0 ? -static_cast<Unsigned>(value) : static_cast<Unsigned>(value);
  const unsigned base = type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
  std::string out;
  do {
    out +=
        (type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef")[static_cast<unsigned>(rest % base)];
    rest /= base;
  } while (rest != 0);
  std::reverse(out.begin(), out.end());
  return out;
}

// The digits of a finite or infinite number without its sign.
std::string float_body(double value, char type, int precision, bool alternate) {
  const double d = std::fabs(value);
  const bool upper = type == 'E' || type == 'F' || type == 'G';
  if (std::isnan(d)) return upper ? "NAN" : "nan";
  if (std::isinf(d)) return upper ? "INF" : "inf";
  if (precision < 0) precision = 6;
  precision = std::min(precision, 1000);
  // The letter of fmt is printf's.
  switch (type) {
    case 'e':
      return fmt::format(fmt::runtime(alternate ? "{:#.{}e}" : "{:.{}e}"), d, precision);
    case 'E':
      return fmt::format(fmt::runtime(alternate ? "{:#.{}E}" : "{:.{}E}"), d, precision);
    case 'g':
      return fmt::format(fmt::runtime(alternate ? "{:#.{}g}" : "{:.{}g}"), d,
                         std::max(precision, 1));
    case 'G':
      return fmt::format(fmt::runtime(alternate ? "{:#.{}G}" : "{:.{}G}"), d,
                         std::max(precision, 1));
    default:
      return fmt::format(fmt::runtime(alternate ? "{:#.{}f}" : "{:.{}f}"), d, precision);
  }
}

std::string format_float(double value, const Spec& spec) {
  std::string body;
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

std::string format_int(const Value& value, const Spec& spec) {
  const Int i = value.as_int();
  if (spec.type == 'c') {
    if (i < 0 || i > 0x10FFFF || (i >= 0xD800 && i < 0xE000)) fail("%c arg not in range");
    std::string text;
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
  std::string sign = sign_of(i < 0, spec.sign);
  if (spec.alternate && !decimal) sign += std::string("0") + spec.type;
  return pad(sign, grouped(digits_of(i, spec.type), spec.grouping, decimal ? 3 : 4), spec, '>');
}

std::string format_string(std::string_view text, const Spec& spec) {
  if (spec.type && spec.type != 's') {
    fail(fmt::format("Unknown format code '{}' for object of type 'str'", spec.type));
  }
  if (spec.align == '=' && spec.fill != "0") fail("'=' alignment not allowed in string format");
  if (spec.precision >= 0)
    text = text.substr(0, byte_offset(text, static_cast<std::size_t>(spec.precision)));
  Spec plain = spec;
  if (plain.align == '=') plain.align = '<';
  return pad("", text, plain, '<');
}

// repr() with escapes for everything beyond ASCII.
std::string ascii_repr(const Value& value) {
  const std::string text = to_repr(value);
  std::string out;
  for (std::size_t pos = 0; pos < text.size();) {
    const auto point = static_cast<std::uint32_t>(next_point(text, pos));
    out += point < 0x80      ? std::string(1, static_cast<char>(point))
           : point < 0x100   ? fmt::format("\\x{:02x}", point)
           : point < 0x10000 ? fmt::format("\\u{:04x}", point)
                             : fmt::format("\\U{:08x}", point);
  }
  return out;
}

// The values of one `%`: a tuple is taken in turn, a mapping by name.
class PercentFormatter {
 public:
  PercentFormatter(std::string_view text, const Value& values, bool safe)
      : text_(text), values_(values), safe_(safe) {}

  std::string run() {
    while (pos_ < text_.size()) {
      if (text_[pos_] != '%') {
        out_ += text_[pos_++];
        continue;
      }
      ++pos_;
      conversion();
      if (out_.size() > kMaxBytes) fail_limit("a string is longer than 64 MiB");
    }
    const bool all_used = values_.is(Kind::kTuple)
                              ? used_ == values_.items().size()
                              : used_ > 0 || values_.is(Kind::kDict) || values_.is(Kind::kList);
    if (!all_used) fail("not all arguments converted during string formatting");
    return std::move(out_);
  }

 private:
  Value take() {
    if (!values_.is(Kind::kTuple)) {
      if (used_++ > 0) fail("not enough arguments for format string");
      return values_;
    }
    if (used_ >= values_.items().size()) fail("not enough arguments for format string");
    return values_.items()[used_++];
  }

  char peek() const {
    if (pos_ >= text_.size()) fail("incomplete format");
    return text_[pos_];
  }

  int star_or_number() {
    if (peek() != '*') return take_number(text_, pos_);
    ++pos_;
    const Int n = as_index(take());
    if (n > 100000 || n < -100000) fail_limit("a format wider than 100000 characters");
    return static_cast<int>(n);
  }

  void conversion() {
    Spec spec;
    bool left = false, zero = false;
    Value named;
    if (peek() == '(') {
      const auto close = text_.find(')', pos_);
      if (close == std::string_view::npos) fail("incomplete format key");
      if (!values_.is(Kind::kDict)) fail("format requires a mapping");
      const Value key = Value::string(std::string(text_.substr(pos_ + 1, close - pos_ - 1)));
      const Value* found = values_.dict().find(key);
      if (!found) fail(fmt::format("KeyError: {}", to_repr(key)));
      named = *found;
      pos_ = close + 1;
    }
    for (; std::string_view("-+ #0").find(peek()) != std::string_view::npos; ++pos_) {
      const char c = text_[pos_];
      if (c == '-') left = true;
      if (c == '+') spec.sign = '+';
      if (c == ' ' && spec.sign != '+') spec.sign = ' ';
      if (c == '#') spec.alternate = true;
      if (c == '0') zero = true;
    }
    spec.width = star_or_number();
    if (spec.width < 0) left = true, spec.width = -spec.width;
    if (peek() == '.') {
      ++pos_;
      spec.precision = std::max(0, star_or_number());
    }
    while (peek() == 'h' || peek() == 'l' || peek() == 'L') ++pos_;
    spec.type = peek();
    ++pos_;
    if (spec.type == '%') {
      out_ += '%';
      return;
    }
    spec.align = left ? '<' : zero ? '=' : '>';
    if (zero && !left) spec.fill = "0";
    convert(named.is(Kind::kMissing) ? take() : named, spec);
  }

  void convert(const Value& value, Spec spec) {
    switch (spec.type) {
      case 's':
      case 'r':
      case 'a': {
        std::string text = spec.type == 's'   ? to_str(value)
                           : spec.type == 'r' ? to_repr(value)
                                              : ascii_repr(value);
        if (safe_ && !(value.is(Kind::kString) && value.str().safe)) text = escape_html(text);
        spec.type = 's';
        spec.fill = " ";
        if (spec.align == '=') spec.align = '>';
        out_ += format_string(text, spec);
        break;
      }
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        integer(value, spec);
        break;
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        number(value);
        out_ += format_float(value.as_double(), spec);
        break;
      case 'c':
        character(value, spec);
        break;
      default:
        fail(fmt::format("unsupported format character '{}'", spec.type));
    }
  }

  static void number(const Value& value) {
    if (value.is(Kind::kUndefined)) fail(value.get<Undef>().hint);
    if (!value.is_number()) fail(fmt::format("must be real number, not {}", type_name(value)));
  }

  void integer(const Value& value, Spec spec) {
    if (value.is(Kind::kUndefined)) fail(value.get<Undef>().hint);
    const bool decimal = spec.type == 'd' || spec.type == 'i' || spec.type == 'u';
    if (!value.is_number() || (!decimal && !value.is_integral())) {
      fail(fmt::format("%{} format: a number is required, not {}", spec.type, type_name(value)));
    }
    Int i = value.as_int();
    if (!value.is_integral()) {
      const double d = value.as_double();
      if (!std::isfinite(d)) fail("cannot convert float to integer");
      if (std::fabs(d) >= 0x1p126) fail_unsupported("an integer of more than 127 bits");
      i = static_cast<Int>(d);
    }
    if (decimal) spec.type = 'd';
    // A precision is the least number of digits.
    std::string digits = digits_of(i, spec.type);
    if (spec.precision > static_cast<int>(digits.size())) {
      digits.insert(0, static_cast<std::size_t>(spec.precision) - digits.size(), '0');
    }
    std::string sign = sign_of(i < 0, spec.sign);
    if (spec.alternate && !decimal) sign += std::string("0") + spec.type;
    out_ += pad(sign, digits, spec, '>');
  }

  void character(const Value& value, Spec spec) {
    spec.fill = " ";
    if (spec.align == '=') spec.align = '>';
    if (value.is(Kind::kString) && value.str().points == 1) {
      out_ += pad("", value.text(), spec, '>');
    } else if (value.is_integral()) {
      out_ += format_int(value, spec);
    } else {
      fail("%c requires int or char");
    }
  }

  std::string_view text_;
  const Value& values_;
  bool safe_;
  std::size_t pos_ = 0;
  std::size_t used_ = 0;
  std::string out_;
};

class BraceFormatter {
 public:
  BraceFormatter(Interpreter& interp, const Args& args) : interp_(interp), args_(args) {}

  std::string run(std::string_view text, int nesting) {
    if (nesting > 2) fail("Max string recursion exceeded");
    std::string out;
    for (std::size_t pos = 0; pos < text.size();) {
      const char c = text[pos];
      if ((c == '{' || c == '}') && pos + 1 < text.size() && text[pos + 1] == c) {
        out += c;
        pos += 2;
      } else if (c == '{') {
        const std::size_t end = matching(text, pos + 1);
        out += field(text.substr(pos + 1, end - pos - 1), nesting);
        pos = end + 1;
      } else if (c == '}') {
        fail("Single '}' encountered in format string");
      } else {
        out += c;
        ++pos;
      }
      if (out.size() > kMaxBytes) fail_limit("a string is longer than 64 MiB");
    }
    return out;
  }

 private:
  static std::size_t matching(std::string_view text, std::size_t pos) {
    for (int open = 1; pos < text.size(); ++pos) {
      if (text[pos] == '{') ++open;
      if (text[pos] == '}' && --open == 0) return pos;
    }
    fail("expected '}' before end of string");
  }

  std::string field(std::string_view text, int nesting) {
    std::size_t end = 0;
    for (bool bracket = false; end < text.size(); ++end) {
      if (text[end] == '[') bracket = true;
      if (text[end] == ']') bracket = false;
      if (!bracket && (text[end] == '!' || text[end] == ':')) break;
    }
    Value value = lookup(text.substr(0, end));
    text.remove_prefix(end);
    if (!text.empty() && text[0] == '!') {
      const char conversion = text.size() > 1 ? text[1] : '\0';
      if (conversion == 's')
        value = Value::string(to_str(value));
      else if (conversion == 'r')
        value = Value::string(to_repr(value));
      else if (conversion == 'a')
        value = Value::string(ascii_repr(value));
      else
        fail("Unknown conversion specifier");
      text.remove_prefix(2);
      if (!text.empty() && text[0] != ':') fail("expected ':' after conversion specifier");
    }
    const std::string spec = text.empty() ? "" : run(text.substr(1), nesting + 1);
    return format_value(value, spec);
  }

  Value lookup(std::string_view name) {
    std::size_t end = std::min(name.find_first_of(".["), name.size());
    Value value = first(name.substr(0, end));
    while (end < name.size()) {
      const bool attribute = name[end] == '.';
      const std::size_t begin = end + 1;
      std::size_t stop = attribute ? name.find_first_of(".[", begin) : name.find(']', begin);
      if (!attribute && stop == std::string_view::npos) fail("Missing ']' in format string");
      stop = std::min(stop, name.size());
      const std::string key(name.substr(begin, stop - begin));
      if (key.empty()) fail("Empty attribute in format string");
      value = attribute ? interp_.attribute(value, key) : interp_.item(value, key_value(key));
      end = attribute ? stop : stop + 1;
      if (!attribute && end < name.size() && name[end] != '.' && name[end] != '[') {
        fail("Only '.' or '[' may follow ']' in format field specifier");
      }
    }
    return value;
  }

  static bool all_digits(std::string_view text) {
    return !text.empty() && text.size() < 10 &&
           text.find_first_not_of("0123456789") == std::string_view::npos;
  }
  static Value key_value(const std::string& key) {
    return all_digits(key) ? Value::integer(std::stoi(key)) : Value::string(key);
  }

  Value first(std::string_view name) {
    if (name.empty() || all_digits(name)) {
      if (name.empty() ? manual_ : automatic_) {
        fail("cannot switch between manual field specification and automatic field numbering");
      }
      (name.empty() ? automatic_ : manual_) = true;
      const std::size_t i = name.empty() ? next_++ : std::stoul(std::string(name));
      if (i >= args_.positional.size()) {
        fail("Replacement index out of range for positional args tuple");
      }
      return args_.positional[i];
    }
    for (const auto& [key, value] : args_.named) {
      if (key == name) return value;
    }
    fail(fmt::format("KeyError: '{}'", name));
  }

  Interpreter& interp_;
  const Args& args_;
  std::size_t next_ = 0;
  bool automatic_ = false, manual_ = false;
};

}  // namespace

std::string format_value(const Value& value, std::string_view text) {
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

std::string format_percent(Interpreter& interp, const Value& format, const Value& values) {
  interp.charge(format.text().size() / 8);
  return PercentFormatter(format.text(), values, format.str().safe).run();
}

Value format_braces(Interpreter& interp, const Value& format, const Args& args) {
  interp.charge(format.text().size() / 8);
  return Value::string(BraceFormatter(interp, args).run(format.text(), 1));
}

}  // namespace pajamas::text::jinja
