// Equality, order and printing of values, as Python defines them.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "jinja/interpreter.h"
#include "jinja/text.h"

namespace pajamas::jinja {
namespace {

constexpr std::size_t kFarAway = 2;  // steps for two objects somewhere in memory

// -1, 0 or 1; 2 where one is NaN. Integers and floats are compared by exact value.
int compare_numbers(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) {
    return a.as_int() < b.as_int() ? -1 : a.as_int() > b.as_int();
  }
  if (!a.is_integral() && !b.is_integral()) {
    const double x = a.as_double(), y = b.as_double();
    return std::isnan(x) || std::isnan(y) ? 2 : x < y ? -1 : x > y;
  }
  if (b.is_integral()) {
    const int reversed = compare_numbers(b, a);
    return reversed == 2 ? 2 : -reversed;
  }
  const double y = b.as_double();
  if (std::isnan(y)) return 2;
  if (y >= 0x1p126) return -1;
  if (y <= -0x1p126) return 1;
  const double floor = std::floor(y);
  const Int whole = static_cast<Int>(floor);
  if (a.as_int() != whole) return a.as_int() < whole ? -1 : 1;
  return y > floor ? -1 : 0;
}

bool equal_texts(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  charge(a.size() / kBytesCopied);
  return a == b;
}

bool equal_items(const Vector<Value>& a, const Vector<Value>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), equal);
}

bool equal_dicts(const Dict& a, const Dict& b) {
  if (a.items.size() != b.items.size()) return false;
  return std::all_of(a.items.begin(), a.items.end(), [&](const auto& item) {
    const Value* other = b.find(item.first);
    return other && equal(item.second, *other);
  });
}

bool equal_views(const View& a, const View& b) {
  if (&a == &b) return true;
  if (a.part != b.part || a.part == View::Part::kValues) return false;
  const Dict &x = a.dict.dict(), &y = b.dict.dict();
  if (a.part == View::Part::kItems) return equal_dicts(x, y);
  return x.items.size() == y.items.size() &&
         std::all_of(x.items.begin(), x.items.end(),
                     [&](const auto& item) { return y.find(item.first) != nullptr; });
}

bool equal_ranges(const Range& a, const Range& b) {
  const auto n = a.size();
  return n == b.size() && (n == 0 || (a.start == b.start && (n == 1 || a.step == b.step)));
}

bool less_texts(std::string_view a, std::string_view b) {
  charge(std::min(a.size(), b.size()) / kBytesCopied);
  return a < b;
}

bool less_items(const Vector<Value>& a, const Vector<Value>& b) {
  const std::size_t n = std::min(a.size(), b.size());
  for (std::size_t i = 0; i < n; ++i) {
    if (!equal(a[i], b[i])) return less(a[i], b[i]);
  }
  return a.size() < b.size();
}

void append_items(String& out, const Vector<Value>& items, std::string_view open,
                  std::string_view close) {
  out += open;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i) out += ", ";
    append_repr(out, items[i]);
  }
  out += close;
}

void append_pairs(String& out, const Dict& dict, std::string_view open, std::string_view close) {
  out += open;
  for (std::size_t i = 0; i < dict.items.size(); ++i) {
    if (i) out += ", ";
    append_repr(out, dict.items[i].first);
    out += ": ";
    append_repr(out, dict.items[i].second);
  }
  out += close;
}

void append_view(String& out, const View& view) {
  const auto& items = view.dict.dict().items;
  const bool keys = view.part == View::Part::kKeys, values = view.part == View::Part::kValues;
  out += keys ? "dict_keys([" : values ? "dict_values([" : "dict_items([";
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i) out += ", ";
    if (!keys && !values) out += '(';
    if (!values) append_repr(out, items[i].first);
    if (!keys && !values) out += ", ";
    if (!keys) append_repr(out, items[i].second);
    if (!keys && !values) out += ')';
  }
  out += "])";
}

void append_range(String& out, const Range& range) {
  out.append("range(").append(int_to_string(range.start)).append(", ");
  out += int_to_string(range.stop);
  if (range.step != 1) out.append(", ").append(int_to_string(range.step));
  out += ')';
}

void append_namespace(String& out, const Namespace& ns) {
  // A namespace can hold itself; nothing else can.
  thread_local int nesting = 0;
  if (nesting > 20) fail_limit("namespaces are nested too deeply to print");
  struct Guard {
    Guard() { ++nesting; }
    ~Guard() { --nesting; }
  } guard;
  append_pairs(out, ns.attrs, "<Namespace {", "}>");
}

}  // namespace

bool equal(const Value& a, const Value& b) {
  charge(1);
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  charge(kFarAway);
  switch (a.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      return a.ref() == b.ref() || equal_texts(a.text(), b.text());
    case Kind::kList:
    case Kind::kTuple:
      return a.ref() == b.ref() || equal_items(a.items(), b.items());
    case Kind::kDict:
      return a.ref() == b.ref() || equal_dicts(a.dict(), b.dict());
    case Kind::kView:
      return equal_views(a.get<View>(), b.get<View>());
    case Kind::kRange:
      return equal_ranges(a.get<Range>(), b.get<Range>());
    default:
      return a.ref() == b.ref();
  }
}

bool less(const Value& a, const Value& b) {
  charge(1);
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == -1;
  charge(kFarAway);
  if (a.is(Kind::kUndefined)) fail(a.get<Undef>().hint);
  if (b.is(Kind::kUndefined)) fail(b.get<Undef>().hint);
  // The order of UTF-8 bytes is the order of code points.
  if (a.is(Kind::kString) && b.is(Kind::kString)) return less_texts(a.text(), b.text());
  if (a.is_sequence() && a.kind() == b.kind()) return less_items(a.items(), b.items());
  fail(fmt::format("'<' not supported between instances of '{}' and '{}'", type_name(a),
                   type_name(b)));
}

String int_to_string(Int value) {
  __extension__ typedef unsigned __int128 Unsigned;
  Unsigned rest = value < 0 ? -static_cast<Unsigned>(value) : static_cast<Unsigned>(value);
  String out;
  do {
    out += static_cast<char>('0' + static_cast<int>(rest % 10));
    rest /= 10;
  } while (rest != 0);
  if (value < 0) out += '-';
  std::reverse(out.begin(), out.end());
  return out;
}

String float_to_string(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  std::string_view text(buffer, static_cast<std::size_t>(end - buffer));
  String sign;
  if (text.front() == '-') sign = "-", text.remove_prefix(1);
  const auto e = text.find('e');
  int exponent = 0;
  const auto exponent_text = text.substr(e + (text[e + 1] == '+' ? 2 : 1));
  std::from_chars(exponent_text.data(), exponent_text.data() + exponent_text.size(), exponent);
  String digits(1, text[0]);
  if (e > 2) digits += text.substr(2, e - 2);
  const int n = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    const String mantissa = n > 1 ? digits.substr(0, 1) + "." + digits.substr(1) : digits;
    return String(
        fmt::format("{}{}e{}{:02d}", sign, mantissa, exponent < 0 ? '-' : '+', std::abs(exponent)));
  }
  if (exponent < 0) {
    return sign + "0." + String(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  }
  if (n <= exponent + 1) {
    return sign + digits + String(static_cast<std::size_t>(exponent + 1 - n), '0') + ".0";
  }
  const std::size_t point = static_cast<std::size_t>(exponent) + 1;
  return sign + digits.substr(0, point) + "." + digits.substr(point);
}

void append_str(String& out, const Value& value) {
  if (value.is(Kind::kString)) {
    charge_bytes(value.text().size(), kBytesCopied);
    out += value.text();
  } else if (!value.is(Kind::kUndefined)) {
    append_repr(out, value);
  }
}

void append_repr(String& out, const Value& value) {
  charge(1);
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
      out += "Undefined";
      break;
    case Kind::kNone:
      out += "None";
      break;
    case Kind::kBool:
      out += value.as_bool() ? "True" : "False";
      break;
    case Kind::kInt:
      out += int_to_string(value.as_int());
      break;
    case Kind::kFloat:
      out += float_to_string(value.as_double());
      break;
    case Kind::kString:
      if (value.str().safe) out += "Markup(";
      append_repr_of_text(out, value.text());
      if (value.str().safe) out += ')';
      break;
    case Kind::kList:
      append_items(out, value.items(), "[", "]");
      break;
    case Kind::kTuple:
      append_items(out, value.items(), "(", value.items().size() == 1 ? ",)" : ")");
      break;
    case Kind::kDict:
      append_pairs(out, value.dict(), "{", "}");
      break;
    case Kind::kView:
      append_view(out, value.get<View>());
      break;
    case Kind::kRange:
      append_range(out, value.get<Range>());
      break;
    case Kind::kNamespace:
      append_namespace(out, value.get<Namespace>());
      break;
    case Kind::kMacro:
      out += "<Macro ";
      append_repr_of_text(out, value.get<Macro>().def->name);
      out += '>';
      break;
    default:
      // Python prints an address here, which no two runs share.
      fail_unsupported(fmt::format("printing a value of type '{}'", type_name(value)));
  }
}

String to_str(const Value& value) {
  String out;
  append_str(out, value);
  return out;
}

String to_repr(const Value& value) {
  String out;
  append_repr(out, value);
  return out;
}

std::string excerpt(const Value& value) {
  return printable(value.is(Kind::kString) ? value.text() : to_repr(value), 200);
}

}  // namespace pajamas::jinja
