// The tests of `is`.
#include <algorithm>

#include "jinja/interpreter.h"
#include "jinja/text.h"

namespace pajamas::jinja {
namespace {

using Check = bool (*)(const Value&);

template <Check C>
Value check(Interpreter&, const Value& value, const Args& args) {
  const Params params("test", args, {});
  return Value::boolean(C(value));
}

bool is_defined(const Value& v) { return !v.is(Kind::kUndefined); }
bool is_undefined(const Value& v) { return v.is(Kind::kUndefined); }
bool is_none(const Value& v) { return v.is(Kind::kNone); }
bool is_boolean(const Value& v) { return v.is(Kind::kBool); }
bool is_true(const Value& v) { return v.is(Kind::kBool) && v.as_bool(); }
bool is_false(const Value& v) { return v.is(Kind::kBool) && !v.as_bool(); }
bool is_integer(const Value& v) { return v.is(Kind::kInt); }
bool is_float(const Value& v) { return v.is(Kind::kFloat); }
bool is_number(const Value& v) { return v.is_number(); }
bool is_string(const Value& v) { return v.is(Kind::kString); }
bool is_mapping(const Value& v) { return v.is(Kind::kDict); }
bool is_escaped(const Value& v) { return v.is(Kind::kString) && v.str().safe; }

bool is_sequence(const Value& v) {
  return v.is(Kind::kString) || v.is_sequence() || v.is(Kind::kDict) || v.is(Kind::kRange) ||
         v.is(Kind::kUndefined);
}

bool is_iterable(const Value& v) {
  return is_sequence(v) || v.is(Kind::kView) || v.is(Kind::kIterator) || v.is(Kind::kLoop);
}

bool is_callable(const Value& v) {
  return v.is(Kind::kMacro) || v.is(Kind::kFunction) || v.is(Kind::kUndefined) ||
         v.is(Kind::kLoop) || v.is(Kind::kJoiner);
}

Value odd(Interpreter&, const Value& value, const Args& args) {
  const Params params("odd", args, {});
  return Value::boolean(equal(modulo(value, Value::integer(2)), Value::integer(1)));
}

Value even(Interpreter&, const Value& value, const Args& args) {
  const Params params("even", args, {});
  return Value::boolean(equal(modulo(value, Value::integer(2)), Value::integer(0)));
}

Value divisible_by(Interpreter&, const Value& value, const Args& args) {
  const Params params("divisibleby", args, {"num"}, 1);
  return Value::boolean(equal(modulo(value, params[0]), Value::integer(0)));
}

template <bool Upper>
Value letter_case(Interpreter& interp, const Value& value, const Args& args) {
  const auto* method = find_string_method(Upper ? "isupper" : "islower");
  return method->fn(interp, Value::string(to_str(value)), args);
}

// Python's `is`: the same object.
Value same_as(Interpreter&, const Value& value, const Args& args) {
  const Params params("sameas", args, {"other"}, 1);
  const Value& other = params[0];
  if (value.kind() != other.kind()) return Value::boolean(false);
  if (value.ref() || other.ref()) return Value::boolean(value.ref() == other.ref());
  return Value::boolean(equal(value, other));
}

Value is_in(Interpreter& interp, const Value& value, const Args& args) {
  const Params params("in", args, {"seq"}, 1);
  return Value::boolean(contains(interp, params[0], value));
}

enum class Order { kEq, kNe, kLt, kLe, kGt, kGe };

template <Order O>
Value order(Interpreter&, const Value& a, const Args& args) {
  const Params params("comparison", args, {"other"}, 1);
  const Value& b = params[0];
  switch (O) {
    case Order::kEq:
      return Value::boolean(equal(a, b));
    case Order::kNe:
      return Value::boolean(!equal(a, b));
    case Order::kLt:
      return Value::boolean(less(a, b));
    case Order::kGt:
      return Value::boolean(less(b, a));
    case Order::kLe:
      return Value::boolean(less(a, b) || equal(a, b));
    case Order::kGe:
      return Value::boolean(less(b, a) || equal(a, b));
  }
  return {};
}

Value is_filter(Interpreter&, const Value& value, const Args&) {
  return Value::boolean(value.is(Kind::kString) && find_filter(value.text()));
}
Value is_test(Interpreter&, const Value& value, const Args&) {
  return Value::boolean(value.is(Kind::kString) && find_test(value.text()));
}

constexpr TestDef kTests[] = {
    {"odd", odd},
    {"even", even},
    {"divisibleby", divisible_by},
    {"defined", check<is_defined>},
    {"undefined", check<is_undefined>},
    {"filter", is_filter},
    {"test", is_test},
    {"none", check<is_none>},
    {"boolean", check<is_boolean>},
    {"false", check<is_false>},
    {"true", check<is_true>},
    {"integer", check<is_integer>},
    {"float", check<is_float>},
    {"lower", letter_case<false>},
    {"upper", letter_case<true>},
    {"string", check<is_string>},
    {"mapping", check<is_mapping>},
    {"number", check<is_number>},
    {"sequence", check<is_sequence>},
    {"iterable", check<is_iterable>},
    {"callable", check<is_callable>},
    {"sameas", same_as},
    {"escaped", check<is_escaped>},
    {"in", is_in},
    {"==", order<Order::kEq>},
    {"eq", order<Order::kEq>},
    {"equalto", order<Order::kEq>},
    {"!=", order<Order::kNe>},
    {"ne", order<Order::kNe>},
    {">", order<Order::kGt>},
    {"gt", order<Order::kGt>},
    {"greaterthan", order<Order::kGt>},
    {">=", order<Order::kGe>},
    {"ge", order<Order::kGe>},
    {"<", order<Order::kLt>},
    {"lt", order<Order::kLt>},
    {"lessthan", order<Order::kLt>},
    {"<=", order<Order::kLe>},
    {"le", order<Order::kLe>},
};

}  // namespace

Table<TestDef> tests() { return {kTests, std::size(kTests)}; }

const TestDef* find_test(std::string_view name) {
  const auto* it = std::find_if(std::begin(kTests), std::end(kTests),
                                [&](const TestDef& def) { return def.name == name; });
  return it == std::end(kTests) ? nullptr : it;
}

}  // namespace pajamas::jinja
