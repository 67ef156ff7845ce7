// The methods of lists, tuples, dicts and ranges that change nothing.
#include <fmt/format.h>

#include <algorithm>

#include "jinja/interpreter.h"

namespace pajamas::jinja {
namespace {

template <View::Part P>
Value view_method(Interpreter&, const Value& self, const Args& args) {
  const Params params("dict method", args, {});
  auto view = make_counted<View>();
  view->depth = nested_depth(self.depth());
  view->dict = self;
  view->part = P;
  return Value::object(Kind::kView, std::move(view));
}

Value get_method(Interpreter&, const Value& self, const Args& args) {
  if (!args.named.empty()) fail("dict.get() takes no keyword arguments");
  const Params params("get", args, {"key", "default"}, 1);
  const Value* found = self.dict().find(params[0]);
  return found ? *found : params.get(1, Value::none());
}

// Lists and dicts never change here, so that a copy is the same.
Value copy_method(Interpreter&, const Value& self, const Args& args) {
  const Params params("copy", args, {});
  return self;
}

Value count_items(Interpreter& interp, const Value& self, const Args& args) {
  const Params params("count", args, {"value"}, 1);
  Int n = 0;
  for (const auto& item : interp.to_list(self)) n += equal(item, params[0]);
  return Value::integer(n);
}

Value index_method(Interpreter& interp, const Value& self, const Args& args) {
  const Params params("index", args, {"value", "start", "stop"}, 1);
  const auto items = interp.to_list(self);
  const auto n = static_cast<Int>(items.size());
  const auto bound = [&](std::size_t i, Int fallback) {
    const Int value = params.integer(i, fallback);
    return std::min(value < 0 ? std::max<Int>(0, value + n) : value, n);
  };
  const Int stop = bound(2, n);
  for (Int i = bound(1, 0); i < stop; ++i) {
    if (equal(items[static_cast<std::size_t>(i)], params[0])) return Value::integer(i);
  }
  fail(fmt::format("{} is not in {}", excerpt(params[0]), type_name(self)));
}

constexpr MethodDef kDict[] = {{"items", view_method<View::Part::kItems>},
                               {"keys", view_method<View::Part::kKeys>},
                               {"values", view_method<View::Part::kValues>},
                               {"get", get_method},
                               {"copy", copy_method}};
constexpr MethodDef kSequence[] = {
    {"count", count_items}, {"index", index_method}, {"copy", copy_method}};

}  // namespace

Table<MethodDef> dict_methods() { return {kDict, std::size(kDict)}; }
Table<MethodDef> sequence_methods() { return {kSequence, std::size(kSequence)}; }

const MethodDef* find_container_method(const Value& subject, std::string_view name) {
  const auto find = [&](const MethodDef* begin, const MethodDef* end) {
    const auto* it =
        std::find_if(begin, end, [&](const MethodDef& def) { return def.name == name; });
    return it == end ? nullptr : it;
  };
  if (subject.is(Kind::kDict)) return find(std::begin(kDict), std::end(kDict));
  if (name == "copy" && !subject.is(Kind::kList)) return nullptr;
  return find(std::begin(kSequence), std::end(kSequence));
}

}  // namespace pajamas::jinja
