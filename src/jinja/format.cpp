// `"%s" % values` and `"{}".format(...)`.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "jinja/format_spec.h"
#include "jinja/interpreter.h"
#include "jinja/text.h"

namespace pajamas::jinja {
namespace {

// The values of one `%`: a tuple is taken in turn, a mapping by name.
class PercentFormatter {
 public:
  PercentFormatter(std::string_view text, const Value& values, bool safe)
      : text_(text), values_(values), safe_(safe) {}

  String run() {
    while (pos_ < text_.size()) {
      if (text_[pos_] != '%') {
        out_ += text_[pos_++];
        continue;
      }
      ++pos_;
      charge(2);
      conversion();
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
      const std::string_view key = text_.substr(pos_ + 1, close - pos_ - 1);
      const Value* found = values_.dict().find(key);
      if (!found) fail(fmt::format("KeyError: {}", excerpt(Value::string(key))));
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
    if (zero && !left) spec.fill = '0';
    convert(named.is(Kind::kMissing) ? take() : named, spec);
  }

  void convert(const Value& value, Spec spec) {
    switch (spec.type) {
      case 's':
      case 'r':
      case 'a': {
        String text = spec.type == 's'   ? to_str(value)
                      : spec.type == 'r' ? to_repr(value)
                                         : ascii_repr(value);
        if (safe_ && !(value.is(Kind::kString) && value.str().safe)) text = escape_html(text);
        spec.type = 's';
        spec.fill = ' ';
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
    String digits = digits_of(i, spec.type);
    if (spec.precision > static_cast<int>(digits.size())) {
      digits.insert(0, static_cast<std::size_t>(spec.precision) - digits.size(), '0');
    }
    String sign = sign_of(i < 0, spec.sign);
    if (spec.alternate && !decimal) sign += String("0") + spec.type;
    out_ += pad(sign, digits, spec, '>');
  }

  void character(const Value& value, Spec spec) {
    spec.fill = ' ';
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
  String out_;
};

class BraceFormatter {
 public:
  BraceFormatter(Interpreter& interp, const Args& args) : interp_(interp), args_(args) {}

  String run(std::string_view text, int nesting) {
    if (nesting > 2) fail("Max string recursion exceeded");
    String out;
    for (std::size_t pos = 0; pos < text.size();) {
      const char c = text[pos];
      if ((c == '{' || c == '}') && pos + 1 < text.size() && text[pos + 1] == c) {
        out += c;
        pos += 2;
      } else if (c == '{') {
        const std::size_t end = matching(text, pos + 1);
        charge(4);
        out += field(text.substr(pos + 1, end - pos - 1), nesting);
        pos = end + 1;
      } else if (c == '}') {
        fail("Single '}' encountered in format string");
      } else {
        out += c;
        ++pos;
      }
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

  String field(std::string_view text, int nesting) {
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
    const String spec = text.empty() ? "" : run(text.substr(1), nesting + 1);
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
      const std::string_view key = name.substr(begin, stop - begin);
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
  static Int number_of(std::string_view digits) {
    Int number = 0;
    for (const char c : digits) number = number * 10 + (c - '0');
    return number;
  }
  static Value key_value(std::string_view key) {
    return all_digits(key) ? Value::integer(number_of(key)) : Value::string(key);
  }

  Value first(std::string_view name) {
    if (name.empty() || all_digits(name)) {
      if (name.empty() ? manual_ : automatic_) {
        fail("cannot switch between manual field specification and automatic field numbering");
      }
      (name.empty() ? automatic_ : manual_) = true;
      const std::size_t i = name.empty() ? next_++ : static_cast<std::size_t>(number_of(name));
      if (i >= args_.positional.size()) {
        fail("Replacement index out of range for positional args tuple");
      }
      return args_.positional[i];
    }
    for (const auto& [key, value] : args_.named) {
      charge(1);
      if (key == name) return value;
    }
    fail(fmt::format("KeyError: '{}'", printable(name)));
  }

  Interpreter& interp_;
  const Args& args_;
  std::size_t next_ = 0;
  bool automatic_ = false, manual_ = false;
};

}  // namespace

String format_percent(const Value& format, const Value& values) {
  charge_bytes(format.text().size(), kBytesDecoded);
  return PercentFormatter(format.text(), values, format.str().safe).run();
}

Value format_braces(Interpreter& interp, const Value& format, const Args& args) {
  charge_bytes(format.text().size(), kBytesDecoded);
  return Value::string(BraceFormatter(interp, args).run(format.text(), 1));
}

}  // namespace pajamas::jinja
