#include "jinja/builtins.h"

#include <fmt/format.h>

#include <algorithm>

#include "jinja/interpreter.h"

namespace pajamas::jinja {

Params::Params(std::string_view function, const Args& args,
               std::initializer_list<std::string_view> names, std::size_t required)
    : function_(function), values_(std::max<std::size_t>(names.size(), 1)) {
  if (args.positional.size() > names.size()) {
    fail(fmt::format("{}() takes at most {} arguments ({} given)", function, names.size(),
                     args.positional.size()));
  }
  std::copy(args.positional.begin(), args.positional.end(), values_.begin());
  for (const auto& [name, value] : args.named) {
    const auto* it = std::find(names.begin(), names.end(), name);
    if (it == names.end()) {
      fail(fmt::format("{}() got an unexpected keyword argument '{}'", function, name));
    }
    Value& place = values_[static_cast<std::size_t>(it - names.begin())];
    if (!place.is(Kind::kMissing)) {
      fail(fmt::format("{}() got multiple values for argument '{}'", function, name));
    }
    place = value;
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (!given(i)) {
      fail(fmt::format("{}() missing required argument '{}'", function, *(names.begin() + i)));
    }
  }
}

Int Params::integer(std::size_t i, Int fallback) const {
  return given(i) ? as_index(values_[i]) : fallback;
}

bool Params::flag(std::size_t i, bool fallback) const {
  return given(i) ? truthy(values_[i]) : fallback;
}

std::string_view Params::text(std::size_t i, std::string_view fallback) const {
  if (!given(i)) return fallback;
  if (values_[i].is(Kind::kUndefined)) fail(values_[i].get<Undef>().hint);
  if (!values_[i].is(Kind::kString)) {
    fail(fmt::format("{}() argument must be str, not {}", function_, type_name(values_[i])));
  }
  return values_[i].text();
}

Value make_function(std::string_view name, BuiltinFn fn, Value self) {
  auto function = make_counted<Function>();
  function->name = name;
  function->depth = nested_depth(self.depth());
  function->self = std::move(self);
  function->fn = fn;
  return Value::object(Kind::kFunction, std::move(function));
}

namespace {

Value make_range(Interpreter&, const Value&, const Args& args) {
  if (!args.named.empty()) fail("range() takes no keyword arguments");
  const auto& given = args.positional;
  if (given.empty() || given.size() > 3) fail("range expected 1 to 3 arguments");
  auto range = make_counted<Range>();
  range->start = given.size() > 1 ? as_index(given[0]) : 0;
  range->stop = as_index(given[given.size() > 1 ? 1 : 0]);
  range->step = given.size() > 2 ? as_index(given[2]) : 1;
  if (range->step == 0) fail("range() arg 3 must not be zero");
  constexpr Int kFar = Int{1} << 100;
  for (const Int end : {range->start, range->stop, range->step}) {
    if (end > kFar || end < -kFar) fail_unsupported("a range of such numbers");
  }
  // size() is a size_t: ask for the exact number first.
  const Int span = range->step > 0 ? range->stop - range->start : range->start - range->stop;
  const Int step = range->step > 0 ? range->step : -range->step;
  if (span > 0 && (span - 1) / step + 1 > kMaxRange) {
    fail("Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).");
  }
  return Value::object(Kind::kRange, std::move(range));
}

std::shared_ptr<Dict> build_dict(Interpreter& interp, std::string_view name, const Args& args) {
  auto dict = make_counted<Dict>();
  if (args.positional.size() > 1) {
    fail(fmt::format("{} expected at most 1 argument, got {}", name, args.positional.size()));
  }
  if (!args.positional.empty()) {
    const Value& source = args.positional[0];
    if (source.is(Kind::kDict)) {
      for (const auto& [key, value] : source.dict().items) dict->set(key, value);
    } else {
      for (const Value& pair : interp.to_list(source)) {
        auto items = interp.to_list(pair);
        if (items.size() != 2) fail("dictionary update sequence element has not the length 2");
        dict->set(items[0], items[1]);
      }
    }
  }
  for (const auto& [key, value] : args.named) dict->set(Value::string(key), value);
  return dict;
}

Value make_dict(Interpreter& interp, const Value&, const Args& args) {
  return Value::object(Kind::kDict, build_dict(interp, "dict", args));
}

Value make_namespace(Interpreter& interp, const Value&, const Args& args) {
  auto ns = make_counted<Namespace>();
  const auto dict = build_dict(interp, "namespace", args);
  for (const auto& [key, value] : dict->items) {
    if (!key.is(Kind::kString)) fail_unsupported("a namespace with names that are no strings");
  }
  ns->attrs = std::move(*dict);
  interp.hold(ns);
  return Value::object(Kind::kNamespace, std::move(ns));
}

Value make_cycler(Interpreter&, const Value&, const Args& args) {
  if (args.positional.empty()) fail("at least one item has to be provided");
  if (!args.named.empty()) fail("cycler() takes no keyword arguments");
  auto cycler = make_counted<Cycler>();
  cycler->items = args.positional;
  cycler->depth = nested_depth(max_depth(cycler->items));
  return Value::object(Kind::kCycler, std::move(cycler));
}

Value make_joiner(Interpreter&, const Value&, const Args& args) {
  const Params params("joiner", args, {"sep"});
  auto joiner = make_counted<Joiner>();
  joiner->separator = params.get(0, Value::string(", "));
  joiner->depth = nested_depth(joiner->separator.depth());
  return Value::object(Kind::kJoiner, std::move(joiner));
}

constexpr std::size_t kMaxRefusal = 4000;  // bytes of what a template says

Value raise_exception(Interpreter&, const Value&, const Args& args) {
  const Params params("raise_exception", args, {"message"}, 1);
  fail(fmt::format("the chat template refuses: {}", to_str(params[0]).substr(0, kMaxRefusal)));
}

Value strftime_now(Interpreter& interp, const Value&, const Args& args) {
  const Params params("strftime_now", args, {"format"}, 1);
  const std::string_view text = params.text(0, "");
  charge_bytes(text.size(), kBytesDecoded);
  String out, piece;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%' || i + 1 >= text.size()) {
      out += text[i];
      continue;
    }
    std::size_t end = i + 1;
    while (end < text.size() &&
           std::string_view("-_0123456789^#EO").find(text[end]) != std::string_view::npos) {
      ++end;
    }
    const char code = end < text.size() ? text[end] : '\0';
    if (code == 'f' || code == 's') {
      fail_unsupported(fmt::format("strftime_now with '%{}'", code));
    }
    // The time has no zone: Python writes nothing for it.
    if (code != 'z' && code != 'Z' && code != '\0') {
      char buffer[256];
      piece = text.substr(i, end - i + 1);
      charge(10);
      const auto n = std::strftime(buffer, sizeof buffer, piece.c_str(), &interp.now());
      out.append(buffer, n);
    } else if (code == '\0') {
      out += text.substr(i);
    }
    i = end;
  }
  return Value::string(std::move(out));
}

Value lipsum(Interpreter&, const Value&, const Args&) {
  fail_unsupported("function 'lipsum', which writes random text");
}

template <class Def>
const Def* find_in(Table<Def> table, std::string_view name) {
  const Def* end = table.begin + table.size;
  const Def* it = std::find_if(table.begin, end, [&](const Def& def) { return def.name == name; });
  return it == end ? nullptr : it;
}

}  // namespace

Value find_global(std::string_view name) {
  static constexpr MethodDef kGlobals[] = {
      {"range", make_range},
      {"dict", make_dict},
      {"lipsum", lipsum},
      {"cycler", make_cycler},
      {"joiner", make_joiner},
      {"namespace", make_namespace},
      {"raise_exception", raise_exception},
      {"strftime_now", strftime_now},
  };
  for (const auto& global : kGlobals) {
    if (global.name == name) return make_function(name, global.fn);
  }
  return {};
}

const FilterDef* find_filter(std::string_view name) {
  for (const auto table :
       {text_filters(), number_filters(), sequence_filters(), select_filters()}) {
    if (const auto* found = find_in(table, name)) return found;
  }
  return nullptr;
}

}  // namespace pajamas::jinja
