// Filters of sequences: order, groups and parts.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "jinja/interpreter.h"
#include "jinja/text.h"

namespace pajamas::jinja {
namespace {

Value fold(const Value& v, bool case_sensitive) {
  return !case_sensitive && v.is(Kind::kString) ? Value::string(to_lower(v.text())) : v;
}

Value first(Interpreter& interp, const Value& v, const Args& args) {
  const Params params("first", args, {});
  Value item;
  if (interp.iterate(v)(item)) return item;
  return Value::undefined("No first item, sequence was empty.");
}

Value last(Interpreter& interp, const Value& v, const Args& args) {
  const Params params("last", args, {});
  if (v.is(Kind::kIterator) || v.is(Kind::kLoop) || v.is(Kind::kNamespace)) {
    fail(fmt::format("'{}' object is not reversible", type_name(v)));
  }
  Value item;
  if (v.is_sequence()) {
    if (!v.items().empty()) item = v.items().back();
  } else if (v.is(Kind::kString) || v.is(Kind::kRange)) {
    if (length(v) > 0) item = interp.item(v, Value::integer(-1));
  } else {
    const auto next = interp.iterate(v);
    while (next(item)) continue;
  }
  return item.is(Kind::kMissing) ? Value::undefined("No last item, sequence was empty.") : item;
}

Value length_filter(Interpreter&, const Value& v, const Args& args) {
  const Params params("length", args, {});
  if (v.is(Kind::kLoop)) return Value::integer(static_cast<Int>(v.get<Loop>().length()));
  return Value::integer(static_cast<Int>(length(v)));
}

Value list(Interpreter& interp, const Value& v, const Args& args) {
  const Params params("list", args, {});
  return Value::list(interp.to_list(v));
}

// A lazy value whose items `make` computes when the first is asked for: errors come then.
template <class Make>
Value deferred(Interpreter& interp, const Value& v, Make make) {
  return lazy(v, [&interp, make = std::move(make), next = Next()](Value& out) mutable {
    if (!next) next = interp.iterate(make());
    return next(out);
  });
}

Value items(Interpreter& interp, const Value& v, const Args& args) {
  const Params params("items", args, {});
  return deferred(interp, v, [&interp, v] {
    if (v.is(Kind::kUndefined)) return v;
    if (!v.is(Kind::kDict)) fail("Can only get item pairs from a mapping.");
    return find_container_method(v, "items")->fn(interp, v, {});
  });
}

Value reverse(Interpreter& interp, const Value& v, const Args& args) {
  const Params params("reverse", args, {});
  if (v.is(Kind::kString)) {
    return slice(v, Value::none(), Value::none(), Value::integer(-1));
  }
  auto list = interp.to_list(v);
  std::reverse(list.begin(), list.end());
  if (v.is(Kind::kIterator)) return Value::list(std::move(list));
  const Value reversed = Value::list(std::move(list));
  return lazy(reversed, interp.iterate(reversed));
}

Value join(Interpreter& interp, const Value& v, const Args& args) {
  const Params params("join", args, {"d", "attribute"});
  const String separator = params.given(0) ? to_str(params[0]) : "";
  const auto next = interp.iterate(v);
  String out;
  Value item;
  for (bool is_first = true; next(item); is_first = false) {
    if (params.given_not_none(1)) item = call_map_attribute(interp, item, params[1]);
    if (!is_first) out += separator;
    charge(separator.size() / kBytesCopied);
    append_str(out, item);
  }
  return Value::string(std::move(out));
}

// A stable sort by keys; `reverse` keeps the order of equal items, as Python does.
Vector<Value> sorted(const Vector<Value>& values, const Vector<Value>& keys, bool reverse) {
  Vector<std::size_t> order(values.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return reverse ? less(keys[b], keys[a]) : less(keys[a], keys[b]);
  });
  Vector<Value> out;
  out.reserve(values.size());
  for (const auto i : order) out.push_back(values[i]);
  return out;
}

Value sort(Interpreter& interp, const Value& v, const Args& args) {
  const Params params("sort", args, {"reverse", "case_sensitive", "attribute"});
  const bool case_sensitive = params.flag(1, false);
  Vector<Value> attributes;
  if (params.given(2) && params[2].is(Kind::kString)) {
    std::string_view rest = params[2].text();
    while (true) {
      const auto comma = rest.find(',');
      attributes.push_back(Value::string(String(rest.substr(0, comma))));
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  } else {
    attributes.push_back(params.get(2, Value::none()));
  }
  const auto values = interp.to_list(v);
  Vector<Value> keys;
  for (const auto& item : values) {
    Vector<Value> key;
    for (const auto& attribute : attributes) {
      key.push_back(fold(call_map_attribute(interp, item, attribute), case_sensitive));
    }
    keys.push_back(Value::list(std::move(key)));
  }
  return Value::list(sorted(values, keys, params.flag(0, false)));
}

Value dict_sort(Interpreter&, const Value& v, const Args& args) {
  const Params params("dictsort", args, {"case_sensitive", "by", "reverse"});
  const std::string_view by = params.text(1, "key");
  if (by != "key" && by != "value") fail("You can only sort by either \"key\" or \"value\"");
  if (v.is(Kind::kUndefined)) fail(v.get<Undef>().hint);
  if (!v.is(Kind::kDict)) fail("dictsort needs a mapping");
  Vector<Value> values, keys;
  for (const auto& [key, value] : v.dict().items) {
    values.push_back(Value::tuple({key, value}));
    keys.push_back(fold(by == "key" ? key : value, params.flag(0, false)));
  }
  return Value::list(sorted(values, keys, params.flag(2, false)));
}

Value unique(Interpreter& interp, const Value& v, const Args& args) {
  const Params params("unique", args, {"case_sensitive", "attribute"});
  const bool case_sensitive = params.flag(0, false);
  const Value attribute = params.get(1, Value::none());
  auto seen = make_counted<std::unordered_set<Value, ValueHash, ValueEqual, Counted<Value>>>();
  return lazy(v, [=, &interp, next = Next()](Value& out) mutable {
    if (!next) next = interp.iterate(v);
    while (next(out)) {
      if (seen->insert(fold(call_map_attribute(interp, out, attribute), case_sensitive)).second) {
        return true;
      }
    }
    return false;
  });
}

template <bool Max>
Value extreme(Interpreter& interp, const Value& v, const Args& args) {
  const Params params("min", args, {"case_sensitive", "attribute"});
  const Value attribute = params.get(1, Value::none());
  const auto next = interp.iterate(v);
  Value best, best_key, item;
  while (next(item)) {
    Value key = fold(call_map_attribute(interp, item, attribute), params.flag(0, false));
    if (best.is(Kind::kMissing) || (Max ? less(best_key, key) : less(key, best_key))) {
      best = item;
      best_key = std::move(key);
    }
  }
  return best.is(Kind::kMissing) ? Value::undefined("No aggregated item, sequence was empty.")
                                 : best;
}

Value group_by(Interpreter& interp, const Value& v, const Args& args) {
  const Params params("groupby", args, {"attribute", "default", "case_sensitive"}, 1);
  const bool case_sensitive = params.flag(2, false);
  const Value fallback = params.get(1, Value::none());
  const auto raw_key = [&](const Value& item) {
    return call_map_attribute(interp, item, params[0], fallback);
  };
  const auto values = interp.to_list(v);
  Vector<Value> keys;
  for (const auto& item : values) keys.push_back(fold(raw_key(item), case_sensitive));
  Vector<Value> groups, members;
  Value current;
  const auto close = [&] {
    if (members.empty()) return;
    Value grouper = case_sensitive ? current : raw_key(members[0]);
    Value group = Value::tuple({std::move(grouper), Value::list(std::move(members))});
    group.get<Seq>().group = true;
    groups.push_back(std::move(group));
    members.clear();
  };
  for (const auto& item : sorted(values, keys, false)) {
    Value key = fold(raw_key(item), case_sensitive);
    if (!members.empty() && !equal(key, current)) close();
    if (members.empty()) current = std::move(key);
    members.push_back(item);
  }
  close();
  return Value::list(std::move(groups));
}

Value batch_list(Interpreter& interp, const Value& v, const Params& params) {
  const Int size = params.integer(0, 0);
  Vector<Value> out, line;
  for (const auto& item : interp.to_list(v)) {
    if (static_cast<Int>(line.size()) == size) out.push_back(Value::list(std::exchange(line, {})));
    line.push_back(item);
  }
  if (!line.empty()) {
    if (params.given_not_none(1) && static_cast<Int>(line.size()) < size) {
      if (size > static_cast<Int>(kMaxMemory)) Budget::fail_memory();
      line.resize(static_cast<std::size_t>(size), params[1]);
    }
    out.push_back(Value::list(std::move(line)));
  }
  return Value::list(std::move(out));
}

Value slice_list(Interpreter& interp, const Value& v, const Params& params) {
  const Int slices = params.integer(0, 0);
  const auto items = interp.to_list(v);
  if (slices == 0) fail("integer modulo by zero");
  if (slices > static_cast<Int>(kMaxMemory)) Budget::fail_memory();
  Vector<Value> out;
  const auto n = static_cast<Int>(items.size());
  std::size_t pos = 0;
  for (Int i = 0; i < slices; ++i) {
    const bool extra = i < n % slices;
    const auto size = static_cast<std::size_t>(n / slices + (extra ? 1 : 0));
    const auto begin = items.begin() + static_cast<std::ptrdiff_t>(pos);
    Vector<Value> part(begin, begin + static_cast<std::ptrdiff_t>(size));
    if (params.given_not_none(1) && !extra) part.push_back(params[1]);
    out.push_back(Value::list(std::move(part)));
    pos += size;
  }
  return Value::list(std::move(out));
}

Value batch(Interpreter& interp, const Value& v, const Args& args) {
  const Params params("batch", args, {"linecount", "fill_with"}, 1);
  return deferred(interp, v, [=, &interp] { return batch_list(interp, v, params); });
}

Value slice_filter(Interpreter& interp, const Value& v, const Args& args) {
  const Params params("slice", args, {"slices", "fill_with"}, 1);
  return deferred(interp, v, [=, &interp] { return slice_list(interp, v, params); });
}

constexpr FilterDef kSequenceFilters[] = {
    {"first", first},         {"last", last},        {"length", length_filter},
    {"count", length_filter}, {"list", list},        {"items", items},
    {"reverse", reverse},     {"join", join},        {"sort", sort},
    {"dictsort", dict_sort},  {"unique", unique},    {"min", extreme<false>},
    {"max", extreme<true>},   {"groupby", group_by}, {"batch", batch},
    {"slice", slice_filter},
};

}  // namespace

Table<FilterDef> sequence_filters() { return {kSequenceFilters, std::size(kSequenceFilters)}; }

}  // namespace pajamas::jinja
