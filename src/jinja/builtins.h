// What filters, tests, methods and global functions have in common: arguments and tables.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "jinja/value.h"

namespace pajamas::jinja {

class Interpreter;

struct Args {
  Vector<Value> positional;
  Vector<std::pair<String, Value>> named;
};

// Arguments bound to the names of parameters, as a Python call binds them.
class Params {
 public:
  // Throws where an argument has no parameter, or one of the first `required` has no argument.
  Params(std::string_view function, const Args& args, std::initializer_list<std::string_view> names,
         std::size_t required = 0);

  bool given(std::size_t i) const { return !values_[i].is(Kind::kMissing); }
  const Value& operator[](std::size_t i) const { return values_[i]; }
  Value get(std::size_t i, Value fallback) const { return given(i) ? values_[i] : fallback; }
  // Throw where the argument has another type. `None` counts as not given where `none_ok`.
  Int integer(std::size_t i, Int fallback) const;
  bool flag(std::size_t i, bool fallback) const;
  std::string_view text(std::size_t i, std::string_view fallback) const;
  bool given_not_none(std::size_t i) const { return given(i) && !values_[i].is(Kind::kNone); }

 private:
  std::string_view function_;
  Vector<Value> values_;
};

using BuiltinFn = Value (*)(Interpreter&, const Value& subject, const Args& args);

struct FilterDef {
  std::string_view name;
  BuiltinFn fn;
};
struct TestDef {
  std::string_view name;
  BuiltinFn fn;
};
struct MethodDef {
  std::string_view name;
  BuiltinFn fn;
};

// Null where there is no such filter, test or method.
const FilterDef* find_filter(std::string_view name);
const TestDef* find_test(std::string_view name);
const MethodDef* find_string_method(std::string_view name);
const MethodDef* find_container_method(const Value& subject, std::string_view name);
// One of the names that every template sees; missing where there is none.
Value find_global(std::string_view name);

// All that there is.
template <class Def>
struct Table {
  const Def* begin;
  std::size_t size;
};
Table<FilterDef> text_filters();
Table<FilterDef> number_filters();
Table<FilterDef> sequence_filters();
Table<FilterDef> select_filters();
Table<TestDef> tests();
Table<MethodDef> string_methods();
Table<MethodDef> dict_methods();
Table<MethodDef> sequence_methods();

// The item of `item` that a path such as "function.name" leads to; without a path, `item`.
Value call_map_attribute(Interpreter& interp, const Value& item, const Value& path,
                         const Value& fallback = {});
// What Python calls a generator: items made when they are asked for, by `next`, which may hold
// `source` and values no deeper than `depth`.
template <class Fn>
Value lazy(const Value& source, Fn next, int depth = 0) {
  struct Lazy : Iterator {
    explicit Lazy(Fn fn) : next_item(std::move(fn)) {}
    bool next(Value& out) override { return next_item(out); }
    Fn next_item;
  };
  auto iterator = make_counted<Lazy>(std::move(next));
  iterator->depth = nested_depth(std::max(source.depth(), depth));
  return Value::object(Kind::kIterator, std::move(iterator));
}

// A built-in function, or a method with the object it belongs to.
struct Function : Object {
  String name;
  Value self;
  BuiltinFn fn = nullptr;
};
Value make_function(std::string_view name, BuiltinFn fn, Value self = {});

// json.dumps with the options of transformers' tojson filter.
struct JsonStyle {
  bool ensure_ascii = false;
  std::optional<String> indent;  // of one level
  String item_separator = ", ";
  String key_separator = ": ";
  bool sort_keys = false;
};
String to_json(const Value& value, const JsonStyle& style);

// str % values and str.format(...).
String format_percent(const Value& format, const Value& values);
Value format_braces(Interpreter& interp, const Value& format, const Args& args);
// format(value, spec) of one value.
String format_value(const Value& value, std::string_view spec);

// Python's operators on two values; `op` is one of + - * / // % **.
Value add(Value a, const Value& b);
Value subtract(const Value& a, const Value& b);
Value multiply(const Value& a, const Value& b);
Value true_divide(const Value& a, const Value& b);
Value floor_divide(const Value& a, const Value& b);
Value modulo(const Value& a, const Value& b);
Value power(const Value& a, const Value& b);
Value negate(const Value& a);
// `item in container`.
bool contains(Interpreter& interp, const Value& container, const Value& item);
// object[start:stop:step]
Value slice(const Value& object, const Value& start, const Value& stop, const Value& step);
// A value used as an index, or throws.
Int as_index(const Value& value);

}  // namespace pajamas::jinja
