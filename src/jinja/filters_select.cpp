// Filters that look at every item: map, select and their like; and those of single values.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "jinja/interpreter.h"
#include "jinja/lexer.h"

namespace pajamas::jinja {

// "a.b.0" takes the items a, b and 0, one of the other.
Value call_map_attribute(Interpreter& interp, const Value& item, const Value& path,
                         const Value& fallback) {
  if (path.is(Kind::kNone) || path.is(Kind::kMissing)) return item;
  const bool has_fallback = !fallback.is(Kind::kNone) && !fallback.is(Kind::kMissing);
  const auto step = [&](const Value& from, const Value& key) {
    Value found = interp.item(from, key);
    return has_fallback && found.is(Kind::kUndefined) ? fallback : found;
  };
  if (!path.is(Kind::kString)) return step(item, path);
  Value value = item;
  std::string_view rest = path.text();
  while (true) {
    const auto dot = rest.find('.');
    charge_bytes(std::min(dot, rest.size()), kBytesDecoded);
    const String part(rest.substr(0, dot));
    const bool digits = !part.empty() && part.find_first_not_of("0123456789") == String::npos;
    Int number = 0;
    value = step(value, digits && parse_int(part, 10, number) ? Value::integer(number)
                                                              : Value::string(part));
    if (dot == std::string_view::npos) return value;
    rest.remove_prefix(dot + 1);
  }
}

namespace {

// What follows the first `n` arguments.
Args rest_of(const Args& args, std::size_t n) {
  Args rest;
  rest.positional.assign(args.positional.begin() + static_cast<std::ptrdiff_t>(n),
                         args.positional.end());
  rest.named = args.named;
  return rest;
}

std::string_view name_of(const Value& value, std::string_view what) {
  if (!value.is(Kind::kString)) fail(fmt::format("No {} named {}.", what, excerpt(value)));
  return value.text();
}

int args_depth(const Args& args) {
  int depth = max_depth(args.positional);
  for (const auto& [name, value] : args.named) depth = std::max(depth, value.depth());
  return depth;
}

Value map(Interpreter& interp, const Value& v, const Args& args) {
  if (args.positional.empty()) {
    const Params params("map", args, {"attribute", "default"});
    if (!params.given(0)) fail("map requires a filter argument");
    return lazy(
        v,
        [&interp, v, path = params[0], fallback = params[1], next = Next()](Value& out) mutable {
          if (!truthy(v)) return false;
          if (!next) next = interp.iterate(v);
          if (!next(out)) return false;
          out = call_map_attribute(interp, out, path, fallback);
          return true;
        },
        args_depth(args));
  }
  return lazy(
      v,
      [&interp, v, filter = args.positional[0], rest = rest_of(args, 1),
       next = Next()](Value& out) mutable {
        if (!truthy(v)) return false;
        if (!next) next = interp.iterate(v);
        const std::string_view name = name_of(filter, "filter");
        if (!next(out)) return false;
        out = interp.call_filter(name, out, rest);
        return true;
      },
      args_depth(args));
}

template <bool Attribute, bool Wanted>
Value select(Interpreter& interp, const Value& v, const Args& args) {
  constexpr std::size_t kOff = Attribute ? 1 : 0;
  return lazy(
      v,
      [&interp, v, args, next = Next()](Value& out) mutable {
        if (!truthy(v)) return false;
        if (Attribute && args.positional.empty()) fail("Missing parameter for attribute name");
        const bool has_test = args.positional.size() > kOff;
        const std::string_view name = has_test ? name_of(args.positional[kOff], "test") : "";
        const Args rest = has_test ? rest_of(args, kOff + 1) : Args();
        if (!next) next = interp.iterate(v);
        while (next(out)) {
          const Value subject =
              Attribute ? call_map_attribute(interp, out, args.positional[0]) : out;
          const bool passes = has_test ? interp.call_test(name, subject, rest) : truthy(subject);
          if (passes == Wanted) return true;
        }
        return false;
      },
      args_depth(args));
}

Value attr(Interpreter& interp, const Value& v, const Args& args) {
  const Params params("attr", args, {"name"}, 1);
  // Unlike v.name it never falls back to v["name"].
  const std::string_view name = params.text(0, "");
  if (v.is(Kind::kDict) && !find_container_method(v, name)) {
    return Value::undefined(fmt::format("'dict object' has no attribute '{}'", printable(name)));
  }
  return v.is(Kind::kUndefined) ? Value::undefined(v.get<Undef>().hint) : interp.attribute(v, name);
}

Value default_filter(Interpreter&, const Value& v, const Args& args) {
  const Params params("default", args, {"default_value", "boolean"});
  if (v.is(Kind::kUndefined) || (params.flag(1, false) && !truthy(v))) {
    return params.get(0, Value::string(""));
  }
  return v;
}

constexpr FilterDef kSelectFilters[] = {
    {"map", map},
    {"select", select<false, true>},
    {"reject", select<false, false>},
    {"selectattr", select<true, true>},
    {"rejectattr", select<true, false>},
    {"attr", attr},
    {"default", default_filter},
    {"d", default_filter},
};

}  // namespace

Table<FilterDef> select_filters() { return {kSelectFilters, std::size(kSelectFilters)}; }

}  // namespace pajamas::jinja
