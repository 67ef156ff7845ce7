// Filters of numbers.
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>

#include "jinja/interpreter.h"
#include "jinja/lexer.h"
#include "jinja/text.h"

namespace pajamas::jinja {
namespace {

void require_number_defined(const Value& v) {
  if (v.is(Kind::kUndefined)) fail(v.get<Undef>().hint);
}

Value absolute(Interpreter&, const Value& v, const Args& args) {
  const Params params("abs", args, {});
  require_number_defined(v);
  if (v.is(Kind::kFloat)) return Value::real(std::fabs(v.as_double()));
  if (!v.is_integral()) fail(fmt::format("bad operand type for abs(): '{}'", type_name(v)));
  return v.as_int() < 0 ? negate(v) : Value::integer(v.as_int());
}

Value truncated(double d) {
  if (std::isinf(d)) fail("cannot convert float infinity to integer");
  if (std::fabs(d) >= 0x1p126) fail_unsupported("an integer of more than 127 bits");
  return Value::integer(static_cast<Int>(d));
}

Value to_int(Interpreter&, const Value& v, const Args& args) {
  const Params params("int", args, {"default", "base"});
  require_number_defined(v);
  Value fallback = params.get(0, Value::integer(0));
  const Int base = params.integer(1, 10);
  if (v.is_integral()) return Value::integer(v.as_int());
  double d = 0;
  if (v.is(Kind::kString)) {
    Int i = 0;
    charge_bytes(v.text().size(), kBytesDecoded);
    const bool good_base = base == 0 || (base >= 2 && base <= 36);
    if (good_base && parse_int(v.text(), static_cast<int>(base), i)) return Value::integer(i);
    const auto digits = strip(v.text());
    if (digits.size() > 30 && digits.find_first_not_of("+-0123456789_") == std::string_view::npos) {
      fail_unsupported("an integer of more than 127 bits");
    }
    // int(float(...)) of an infinity is an OverflowError, which the filter catches here.
    if (!parse_float(v.text(), d) || std::isinf(d)) return fallback;
  } else if (v.is(Kind::kFloat)) {
    d = v.as_double();
  } else {
    return fallback;
  }
  return std::isnan(d) ? fallback : truncated(d);
}

Value to_float(Interpreter&, const Value& v, const Args& args) {
  const Params params("float", args, {"default"});
  require_number_defined(v);
  if (v.is_number()) return Value::real(v.as_double());
  double d = 0;
  if (v.is(Kind::kString) && parse_float(v.text(), d)) return Value::real(d);
  return params.get(0, Value::real(0));
}

// round() of Python: to the nearest decimal of the exact value, halves to even.
Value round_common(const Value& v, Int precision) {
  if (v.is_integral()) {
    if (precision >= 0) return Value::integer(v.as_int());
    if (precision < -30) return Value::integer(0);
    const Int unit = power(Value::integer(10), Value::integer(-precision)).as_int();
    const Int half = unit / 2;
    Int quotient = v.as_int() / unit;
    const Int rest = v.as_int() % unit;
    const Int size = rest < 0 ? -rest : rest;
    if (size > half || (size == half && (quotient & 1) != 0)) quotient += v.as_int() < 0 ? -1 : 1;
    return Value::integer(quotient * unit);
  }
  const double d = v.as_double();
  if (!std::isfinite(d) || precision > 323) return Value::real(d);
  if (precision < -308) return Value::real(std::copysign(0.0, d));
  if (precision >= 0) {
    return Value::real(
        std::strtod(fmt::format("{:.{}f}", d, static_cast<int>(precision)).c_str(), nullptr));
  }
  const double unit = std::pow(10.0, static_cast<double>(-precision));
  return Value::real(std::nearbyint(d / unit) * unit);
}

Value round_filter(Interpreter&, const Value& v, const Args& args) {
  const Params params("round", args, {"precision", "method"});
  require_number_defined(v);
  const std::string_view method = params.text(1, "common");
  const Int precision = params.integer(0, 0);
  if (method != "common" && method != "ceil" && method != "floor") {
    fail("method must be common, ceil or floor");
  }
  if (!v.is_number()) fail(fmt::format("type {} doesn't define __round__ method", type_name(v)));
  if (method == "common") return round_common(v, precision);
  const Value unit = power(Value::integer(10), Value::integer(precision));
  const Value scaled = multiply(v, unit);
  const double d = scaled.as_double();
  if (std::isnan(d)) fail("cannot convert float NaN to integer");
  const Value whole =
      scaled.is_integral() ? scaled : truncated(method == "ceil" ? std::ceil(d) : std::floor(d));
  return true_divide(whole, unit);
}

Value file_size(Interpreter&, const Value& v, const Args& args) {
  const Params params("filesizeformat", args, {"binary"});
  require_number_defined(v);
  double bytes = 0;
  if (v.is_number()) {
    bytes = v.as_double();
  } else if (!v.is(Kind::kString) || !parse_float(v.text(), bytes)) {
    fail("filesizeformat needs a number");
  }
  const bool binary = params.flag(0, false);
  const double base = binary ? 1024 : 1000;
  if (bytes == 1) return Value::string("1 Byte");
  if (bytes < base) return Value::string(int_to_string(truncated(bytes).as_int()) + " Bytes");
  static constexpr char kPrefixes[] = "kMGTPEZY";
  double unit = base;
  for (int i = 0; i < 8; ++i) {
    unit *= base;
    if (bytes < unit || i == 7) {
      const char letter = i == 0 && binary ? 'K' : kPrefixes[i];
      return Value::string(
          fmt::format("{:.1f} {}{}", base * bytes / unit, letter, binary ? "iB" : "B"));
    }
  }
  return {};
}

Value sum(Interpreter& interp, const Value& v, const Args& args) {
  const Params params("sum", args, {"attribute", "start"});
  Value total = params.get(1, Value::integer(0));
  if (total.is(Kind::kString)) fail("sum() can't sum strings [use ''.join(seq) instead]");
  const auto next = interp.iterate(v);
  Value item;
  while (next(item)) {
    charge(1);
    total = add(std::move(total), call_map_attribute(interp, item, params[0]));
  }
  return total;
}

constexpr FilterDef kNumberFilters[] = {
    {"abs", absolute},       {"int", to_int}, {"float", to_float},
    {"round", round_filter}, {"sum", sum},    {"filesizeformat", file_size},
};

}  // namespace

Table<FilterDef> number_filters() { return {kNumberFilters, std::size(kNumberFilters)}; }

}  // namespace pajamas::jinja
