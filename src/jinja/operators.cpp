// Python's operators.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "jinja/interpreter.h"
#include "jinja/search.h"
#include "jinja/text.h"

namespace pajamas::jinja {
namespace {

void require_defined(const Value& a, const Value& b) {
  if (a.is(Kind::kUndefined)) fail(a.get<Undef>().hint);
  if (b.is(Kind::kUndefined)) fail(b.get<Undef>().hint);
}

[[noreturn]] void fail_operands(std::string_view op, const Value& a, const Value& b) {
  require_defined(a, b);
  fail(fmt::format("unsupported operand type(s) for {}: '{}' and '{}'", op, type_name(a),
                   type_name(b)));
}

[[noreturn]] void fail_big() { fail_unsupported("an integer of more than 127 bits"); }

bool both_integral(const Value& a, const Value& b) { return a.is_integral() && b.is_integral(); }
bool both_numbers(const Value& a, const Value& b) { return a.is_number() && b.is_number(); }

// How much `times` things of `size` are, or the error of memory.
std::size_t times_size(Int times, std::size_t size) {
  if (times > static_cast<Int>(kMaxMemory / size)) Budget::fail_memory();
  return static_cast<std::size_t>(times) * size;
}

Value repeat_string(const Value& text, Int times) {
  const std::string_view s = text.text();
  if (times <= 0 || s.empty()) return Value::string("", text.str().safe);
  String out;
  out.reserve(times_size(times, s.size()));
  charge(static_cast<std::size_t>(times) / 4);
  for (Int i = 0; i < times; ++i) out += s;
  return Value::string(std::move(out), text.str().safe);
}

Value make_like(const Value& model, Vector<Value> items) {
  return model.is(Kind::kList) ? Value::list(std::move(items)) : Value::tuple(std::move(items));
}

Value repeat_items(const Value& list, Int times) {
  const auto& items = list.items();
  Vector<Value> out;
  if (times > 0 && !items.empty()) {
    out.reserve(times_size(times, items.size()));
    for (Int i = 0; i < times; ++i) out.insert(out.end(), items.begin(), items.end());
  }
  return make_like(list, std::move(out));
}

// `a` with the items of `b` behind its own. What nobody else holds grows where it is.
Value join_items(Value a, const Value& b) {
  if (a.ref().use_count() != 1) {
    Vector<Value> items;
    items.reserve(a.items().size() + b.items().size());
    items = a.items();
    a = make_like(a, std::move(items));
  }
  charge_bytes(b.items().size() * sizeof(Value), kBytesCopied);
  auto& seq = a.get<Seq>();
  seq.depth = std::max(seq.depth, b.depth());
  seq.group = false;
  seq.v.insert(seq.v.end(), b.items().begin(), b.items().end());
  return a;
}

double float_modulo(double a, double b) {
  double mod = std::fmod(a, b);
  if (mod != 0) {
    if ((b < 0) != (mod < 0)) mod += b;
  } else {
    mod = std::copysign(0.0, b);
  }
  return mod;
}

Int floor_quotient(Int a, Int b) {
  Int quotient = a / b;
  if (a % b != 0 && (a < 0) != (b < 0)) --quotient;
  return quotient;
}

void require_nonzero(const Value& b) {
  if (b.as_double() == 0) fail("division by zero");
}

Value integer_power(Int base, Int exponent) {
  Int result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) fail_big();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) fail_big();
  }
  return Value::integer(result);
}

// Markup escapes what plain text is added to it.
String as_markup(const Value& value) {
  return value.str().safe ? String(value.text()) : escape_html(value.text());
}

}  // namespace

Value add(Value a, const Value& b) {
  if (both_integral(a, b)) {
    Int sum = 0;
    if (__builtin_add_overflow(a.as_int(), b.as_int(), &sum)) fail_big();
    return Value::integer(sum);
  }
  if (both_numbers(a, b)) return Value::real(a.as_double() + b.as_double());
  if (a.is(Kind::kString) && b.is(Kind::kString)) {
    if (a.str().safe != b.str().safe) return Value::string(as_markup(a) + as_markup(b), true);
    return append_text(a, b.text(), b.str().points);
  }
  if (a.is_sequence() && a.kind() == b.kind()) return join_items(std::move(a), b);
  require_defined(a, b);
  if (a.is(Kind::kString)) {
    fail(fmt::format("can only concatenate str (not \"{}\") to str", type_name(b)));
  }
  fail_operands("+", a, b);
}

Value subtract(const Value& a, const Value& b) {
  if (both_integral(a, b)) {
    Int difference = 0;
    if (__builtin_sub_overflow(a.as_int(), b.as_int(), &difference)) fail_big();
    return Value::integer(difference);
  }
  if (both_numbers(a, b)) return Value::real(a.as_double() - b.as_double());
  if (a.is(Kind::kView) && b.is(Kind::kView)) fail_unsupported("set operations on dict views");
  fail_operands("-", a, b);
}

Value multiply(const Value& a, const Value& b) {
  if (both_integral(a, b)) {
    Int product = 0;
    if (__builtin_mul_overflow(a.as_int(), b.as_int(), &product)) fail_big();
    return Value::integer(product);
  }
  if (both_numbers(a, b)) return Value::real(a.as_double() * b.as_double());
  if (a.is(Kind::kString) && b.is_integral()) return repeat_string(a, b.as_int());
  if (b.is(Kind::kString) && a.is_integral()) return repeat_string(b, a.as_int());
  if (a.is_sequence() && b.is_integral()) return repeat_items(a, b.as_int());
  if (b.is_sequence() && a.is_integral()) return repeat_items(b, a.as_int());
  fail_operands("*", a, b);
}

Value true_divide(const Value& a, const Value& b) {
  if (!both_numbers(a, b)) fail_operands("/", a, b);
  require_nonzero(b);
  return Value::real(a.as_double() / b.as_double());
}

Value floor_divide(const Value& a, const Value& b) {
  if (!both_numbers(a, b)) fail_operands("//", a, b);
  require_nonzero(b);
  if (both_integral(a, b)) return Value::integer(floor_quotient(a.as_int(), b.as_int()));
  const double x = a.as_double(), y = b.as_double();
  const double div = (x - float_modulo(x, y)) / y;
  if (div == 0) return Value::real(std::copysign(0.0, x / y));
  double floor = std::floor(div);
  if (div - floor > 0.5) floor += 1;
  return Value::real(floor);
}

Value modulo(const Value& a, const Value& b) {
  if (a.is(Kind::kString)) return Value::string(format_percent(a, b), a.str().safe);
  if (!both_numbers(a, b)) fail_operands("%", a, b);
  require_nonzero(b);
  if (both_integral(a, b)) {
    Int rest = a.as_int() % b.as_int();
    if (rest != 0 && (rest < 0) != (b.as_int() < 0)) rest += b.as_int();
    return Value::integer(rest);
  }
  return Value::real(float_modulo(a.as_double(), b.as_double()));
}

Value power(const Value& a, const Value& b) {
  if (!both_numbers(a, b)) fail_operands("**", a, b);
  if (both_integral(a, b) && b.as_int() >= 0) return integer_power(a.as_int(), b.as_int());
  const double x = a.as_double(), y = b.as_double();
  if (x == 0 && y < 0) fail("0.0 cannot be raised to a negative power");
  if (x < 0 && std::isfinite(y) && y != std::floor(y)) fail_unsupported("complex numbers");
  const double result = std::pow(x, y);
  if (std::isinf(result) && std::isfinite(x) && std::isfinite(y)) {
    fail("(34, 'Numerical result out of range')");
  }
  return Value::real(result);
}

Value negate(const Value& a) {
  if (a.is(Kind::kUndefined)) fail(a.get<Undef>().hint);
  if (a.is(Kind::kFloat)) return Value::real(-a.as_double());
  if (!a.is_integral()) fail(fmt::format("bad operand type for unary -: '{}'", type_name(a)));
  return subtract(Value::integer(0), a);
}

bool contains(Interpreter& interp, const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::kString:
      if (!item.is(Kind::kString)) {
        fail(fmt::format("'in <string>' requires string as left operand, not {}", type_name(item)));
      }
      return Search(item.text()).first(container.text()) != Search::kNone;
    case Kind::kDict:
      return container.dict().find(item) != nullptr;
    case Kind::kView: {
      const auto& view = container.get<View>();
      if (view.part == View::Part::kKeys) return view.dict.dict().find(item) != nullptr;
      break;
    }
    case Kind::kNamespace:
    case Kind::kMacro:
    case Kind::kFunction:
      fail(fmt::format("argument of type '{}' is not iterable", type_name(container)));
    default:
      break;
  }
  const auto next = interp.iterate(container);
  Value other;
  while (next(other)) {
    if (equal(other, item) || (other.ref() && other.ref() == item.ref())) return true;
  }
  return false;
}

Int as_index(const Value& value) {
  if (value.is(Kind::kUndefined)) fail(value.get<Undef>().hint);
  if (!value.is_integral()) {
    fail(fmt::format("'{}' object cannot be interpreted as an integer", type_name(value)));
  }
  return value.as_int();
}

namespace {

struct Bounds {
  Int start, stop, step;
};

// slice.indices() of Python.
Bounds slice_bounds(Int length, const Value& start, const Value& stop, const Value& step) {
  const auto index = [](const Value& value) {
    if (!value.is_integral()) {
      fail("slice indices must be integers or None or have an __index__ method");
    }
    return value.as_int();
  };
  Bounds out{0, 0, step.is(Kind::kNone) ? 1 : index(step)};
  if (out.step == 0) fail("slice step cannot be zero");
  const bool back = out.step < 0;
  const Int low = back ? -1 : 0, high = back ? length - 1 : length;
  const auto clamp = [&](const Value& value, Int fallback) {
    if (value.is(Kind::kNone)) return fallback;
    Int i = index(value);
    if (i < 0) i = i < -length ? low : i + length;
    return std::clamp(i, low, std::max(low, high));
  };
  out.start = clamp(start, back ? high : low);
  out.stop = clamp(stop, back ? low : high);
  return out;
}

Value slice_string(const Value& object, const Bounds& b, std::size_t n) {
  const Str& str = object.str();
  const std::string_view text = str.view();
  if (n == 0) return Value::string("", str.safe);
  const auto first = static_cast<std::size_t>(b.start);
  if (b.step == 1) {
    const std::size_t begin = str.offset(first);
    return Value::string(text.substr(begin, str.offset(first + n) - begin), str.safe);
  }
  charge(n);
  String out;
  for (std::size_t k = 0; k < n; ++k) {
    std::size_t pos = str.offset(static_cast<std::size_t>(b.start + static_cast<Int>(k) * b.step));
    append_point(out, next_point(text, pos));
  }
  return Value::string(std::move(out), str.safe);
}

}  // namespace

Value slice(const Value& object, const Value& start, const Value& stop, const Value& step) {
  if (object.is(Kind::kUndefined)) fail(object.get<Undef>().hint);
  const bool ok = object.is(Kind::kString) || object.is_sequence() || object.is(Kind::kRange);
  if (!ok) fail(fmt::format("'{}' object is not subscriptable with a slice", type_name(object)));
  const Bounds b = slice_bounds(static_cast<Int>(length(object)), start, stop, step);
  Range selected;
  selected.start = b.start, selected.stop = b.stop, selected.step = b.step;
  const std::size_t n = selected.size();
  if (object.is(Kind::kString)) return slice_string(object, b, n);
  if (object.is(Kind::kRange)) {
    const auto& range = object.get<Range>();
    auto out = make_counted<Range>();
    out->start = range.start + b.start * range.step;
    out->stop = range.start + b.stop * range.step;
    out->step = range.step * b.step;
    return Value::object(Kind::kRange, std::move(out));
  }
  Vector<Value> items;
  items.reserve(n);
  for (std::size_t k = 0; k < n; ++k) {
    items.push_back(object.items()[static_cast<std::size_t>(selected.at(k))]);
  }
  return make_like(object, std::move(items));
}

}  // namespace pajamas::jinja
