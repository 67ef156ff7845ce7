// object.name and object[key] as jinja2's immutable sandbox resolves them.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "jinja/interpreter.h"
#include "jinja/text.h"

namespace pajamas::jinja {
namespace {

std::string object_name(const Value& object) {
  if (object.is(Kind::kNone)) return "None";
  return fmt::format("'{} object'", type_name(object));
}

Value missing_attribute(const Value& object, std::string_view name) {
  return Value::undefined(
      fmt::format("{} has no attribute '{}'", object_name(object), printable(name)));
}

template <std::size_t N>
bool is_one_of(std::string_view name, const std::string_view (&names)[N]) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

constexpr std::string_view kListChanges[] = {"append", "clear", "pop",    "reverse",
                                             "insert", "sort",  "extend", "remove"};
constexpr std::string_view kDictChanges[] = {"clear", "pop", "popitem", "setdefault", "update"};
// Attributes that Python's objects have and templates cannot use here.
constexpr std::string_view kOtherString[] = {"encode", "maketrans", "translate"};
constexpr std::string_view kOtherMarkup[] = {"unescape", "striptags", "escape"};
constexpr std::string_view kOtherDict[] = {"fromkeys"};
constexpr std::string_view kOtherInt[] = {
    "as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator",
    "from_bytes",       "imag",      "numerator",  "real",      "to_bytes"};
constexpr std::string_view kOtherFloat[] = {
    "as_integer_ratio", "conjugate", "fromhex", "hex", "imag", "is_integer", "real"};
constexpr std::string_view kOtherView[] = {"isdisjoint", "mapping"};
constexpr std::string_view kOtherIterator[] = {
    "close", "gi_code", "gi_frame", "gi_running", "gi_suspended", "gi_yieldfrom", "send", "throw"};

Value unsafe(const Value& object, std::string_view name) {
  return Value::undefined(fmt::format("access to attribute '{}' of '{}' object is unsafe.",
                                      printable(name), type_name(object)));
}

[[noreturn]] void fail_attribute(const Value& object, std::string_view name) {
  fail_unsupported(fmt::format("attribute '{}' of '{}'", name, type_name(object)));
}

Value bind(const Value& object, const MethodDef* method) {
  return method ? make_function(method->name, method->fn, object) : Value();
}

Value loop_cycle(Interpreter&, const Value& self, const Args& args) {
  if (args.positional.empty()) fail("no items for cycling given");
  return args.positional[self.get<Loop>().index0 % args.positional.size()];
}

Value loop_changed(Interpreter& interp, const Value& self, const Args& args) {
  auto& loop = self.get<Loop>();
  const auto& values = args.positional;
  if (loop.last_changed && loop.last_changed->size() == values.size() &&
      std::equal(values.begin(), values.end(), loop.last_changed->begin(), equal)) {
    return Value::boolean(false);
  }
  if (!loop.last_changed) interp.hold(self.ref());
  loop.last_changed = values;
  return Value::boolean(true);
}

Value loop_attribute(const Value& object, std::string_view name) {
  auto& loop = object.get<Loop>();
  const auto number = [](std::size_t i) { return Value::integer(static_cast<Int>(i)); };
  if (name == "index") return number(loop.index0 + 1);
  if (name == "index0") return number(loop.index0);
  if (name == "first") return Value::boolean(loop.index0 == 0);
  if (name == "last") return Value::boolean(!loop.peek());
  if (name == "length") return number(loop.length());
  if (name == "revindex") return number(loop.length() - loop.index0);
  if (name == "revindex0") return number(loop.length() - loop.index0 - 1);
  if (name == "depth") return number(1);
  if (name == "depth0") return number(0);
  if (name == "previtem") {
    return loop.index0 == 0 ? Value::undefined("there is no previous item") : loop.before;
  }
  if (name == "nextitem") {
    return loop.peek() ? loop.after : Value::undefined("there is no next item");
  }
  if (name == "cycle") return make_function(name, loop_cycle, object);
  if (name == "changed") return make_function(name, loop_changed, object);
  return {};
}

Value macro_attribute(const Value& object, std::string_view name) {
  const MacroDef& def = *object.get<Macro>().def;
  if (name == "name") return Value::string(def.name);
  if (name == "catch_kwargs") return Value::boolean(def.kwargs_slot >= 0);
  if (name == "catch_varargs") return Value::boolean(def.varargs_slot >= 0);
  if (name == "caller") return Value::boolean(def.uses_caller);
  if (name == "explicit_caller") return Value::boolean(def.explicit_caller);
  if (name != "arguments") return {};
  Vector<Value> names;
  for (const auto& param : def.params) names.push_back(Value::string(param.name));
  return Value::tuple(std::move(names));
}

Value cycler_next(Interpreter&, const Value& self, const Args&) {
  auto& cycler = self.get<Cycler>();
  Value value = cycler.items[cycler.pos];
  cycler.pos = (cycler.pos + 1) % cycler.items.size();
  return value;
}

Value cycler_reset(Interpreter&, const Value& self, const Args&) {
  self.get<Cycler>().pos = 0;
  return Value::none();
}

Value cycler_attribute(const Value& object, std::string_view name) {
  const auto& cycler = object.get<Cycler>();
  if (name == "next") return make_function(name, cycler_next, object);
  if (name == "reset") return make_function(name, cycler_reset, object);
  if (name == "current") return cycler.items[cycler.pos];
  if (name == "items") return Value::tuple(cycler.items);
  if (name == "pos") return Value::integer(static_cast<Int>(cycler.pos));
  return {};
}

Value group_attribute(const Value& object, std::string_view name) {
  if (!object.get<Seq>().group) return {};
  if (name == "grouper") return object.items()[0];
  if (name == "list") return object.items()[1];
  return {};
}

// getattr(object, name); missing where Python raises AttributeError.
Value python_attribute(const Value& object, std::string_view name) {
  switch (object.kind()) {
    case Kind::kString:
      if (is_one_of(name, kOtherString) || (object.str().safe && is_one_of(name, kOtherMarkup))) {
        fail_attribute(object, name);
      }
      return bind(object, find_string_method(name));
    case Kind::kList:
      if (is_one_of(name, kListChanges)) return unsafe(object, name);
      return bind(object, find_container_method(object, name));
    case Kind::kTuple: {
      Value named = group_attribute(object, name);
      return named.is(Kind::kMissing) ? bind(object, find_container_method(object, name)) : named;
    }
    case Kind::kDict:
      if (is_one_of(name, kDictChanges)) return unsafe(object, name);
      if (is_one_of(name, kOtherDict)) fail_attribute(object, name);
      return bind(object, find_container_method(object, name));
    case Kind::kRange: {
      const auto& range = object.get<Range>();
      if (name == "start") return Value::integer(range.start);
      if (name == "stop") return Value::integer(range.stop);
      if (name == "step") return Value::integer(range.step);
      return bind(object, find_container_method(object, name));
    }
    case Kind::kNamespace: {
      const Value* found = object.get<Namespace>().attrs.find(name);
      return found ? *found : Value();
    }
    case Kind::kBool:
    case Kind::kInt:
      if (is_one_of(name, kOtherInt)) fail_attribute(object, name);
      return {};
    case Kind::kFloat:
      if (is_one_of(name, kOtherFloat)) fail_attribute(object, name);
      return {};
    case Kind::kView:
      if (is_one_of(name, kOtherView)) fail_attribute(object, name);
      return {};
    case Kind::kIterator:
      if (is_one_of(name, kOtherIterator)) fail_attribute(object, name);
      return {};
    case Kind::kLoop:
      return loop_attribute(object, name);
    case Kind::kMacro:
      return macro_attribute(object, name);
    case Kind::kCycler:
      return cycler_attribute(object, name);
    case Kind::kJoiner:
      if (name == "sep") return object.get<Joiner>().separator;
      if (name == "used") return Value::boolean(object.get<Joiner>().used);
      return {};
    default:
      return {};
  }
}

// object[key]; missing where Python raises TypeError or LookupError.
Value python_item(const Value& object, const Value& key) {
  if (object.is(Kind::kDict)) {
    const bool hashable = !key.is_sequence() && !key.is(Kind::kDict) && !key.is(Kind::kView);
    if (!hashable && !key.is(Kind::kTuple)) return {};
    const Value* found = object.dict().find(key);
    return found ? *found : Value();
  }
  const bool indexed = object.is(Kind::kString) || object.is_sequence() || object.is(Kind::kRange);
  if (!indexed || !key.is_integral()) return {};
  const auto n = static_cast<Int>(length(object));
  Int i = key.as_int();
  if (i < 0) i += n;
  if (i < 0 || i >= n) return {};
  const auto at = static_cast<std::size_t>(i);
  if (object.is_sequence()) return object.items()[at];
  if (object.is(Kind::kRange)) return Value::integer(object.get<Range>().at(at));
  const std::size_t begin = object.str().offset(at);
  std::size_t end = begin;
  next_point(object.text(), end);
  return Value::string(object.text().substr(begin, end - begin), object.str().safe);
}

bool is_internal(std::string_view name) {
  return name.size() >= 4 && name.starts_with("__") && name.ends_with("__");
}

}  // namespace

Value Interpreter::attribute(const Value& object, std::string_view name) {
  if (object.is(Kind::kUndefined)) fail(object.get<Undef>().hint);
  Value value = python_attribute(object, name);
  if (!value.is(Kind::kMissing)) {
    return name.starts_with("_") ? unsafe(object, name) : value;
  }
  if (object.is(Kind::kDict)) {
    if (const Value* found = object.dict().find(name)) return *found;
  }
  return is_internal(name) ? unsafe(object, name) : missing_attribute(object, name);
}

Value Interpreter::item(const Value& object, const Value& key) {
  if (object.is(Kind::kUndefined)) fail(object.get<Undef>().hint);
  Value value = python_item(object, key);
  if (!value.is(Kind::kMissing)) return value;
  if (!key.is(Kind::kString)) {
    return Value::undefined(
        fmt::format("{} has no element {}", object_name(object),
                    key.is_number() || key.is(Kind::kNone) ? excerpt(key) : "of that key"));
  }
  value = python_attribute(object, key.text());
  if (value.is(Kind::kMissing)) return missing_attribute(object, key.text());
  return key.text().starts_with("_") ? unsafe(object, key.text()) : value;
}

}  // namespace pajamas::jinja
