#include "jinja/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "jinja/text.h"

namespace pajamas::jinja {

void fail(std::string problem) {
  throw Error(ErrorCode::kUsage, std::move(problem),
              "check that messages, tools and options are what this chat template expects");
}

void fail_unsupported(std::string problem) {
  throw Error(ErrorCode::kUnsupported, std::move(problem) + " is not supported",
              "this chat template needs a construct that is not known here");
}

void fail_limit(std::string problem) {
  throw Error(ErrorCode::kUnsupported, std::move(problem),
              "the chat template or the conversation is too large to render");
}

int nested_depth(int below) {
  if (below >= kMaxNesting) fail_limit("values are nested too deeply");
  return below + 1;
}

int max_depth(const std::vector<Value>& items) {
  int depth = 0;
  for (const auto& item : items) depth = std::max(depth, item.depth());
  return depth;
}

Value Value::undefined(std::string hint) {
  auto object = std::make_shared<Undef>();
  object->hint = std::move(hint);
  return Value::object(Kind::kUndefined, std::move(object));
}

Value Value::boolean(bool b) {
  Value value(Kind::kBool);
  value.scalar_.i = b;
  return value;
}

Value Value::integer(Int i) {
  Value value(Kind::kInt);
  value.scalar_.i = i;
  return value;
}

Value Value::real(double d) {
  Value value(Kind::kFloat);
  value.scalar_.d = d;
  return value;
}

Value Value::string(std::string s, bool safe) {
  if (s.size() > kMaxBytes) fail_limit("a string is longer than 64 MiB");
  auto object = std::make_shared<Str>();
  object->points = count_points(s);
  object->s = std::move(s);
  object->safe = safe;
  return Value::object(Kind::kString, std::move(object));
}

namespace {
Value make_seq(Kind kind, std::vector<Value> items) {
  if (items.size() > kMaxItems) fail_limit("a list has too many items");
  auto object = std::make_shared<Seq>();
  object->depth = nested_depth(max_depth(items));
  object->v = std::move(items);
  return Value::object(kind, std::move(object));
}
}  // namespace

Value Value::list(std::vector<Value> items) { return make_seq(Kind::kList, std::move(items)); }
Value Value::tuple(std::vector<Value> items) { return make_seq(Kind::kTuple, std::move(items)); }

Value Value::object(Kind kind, std::shared_ptr<Object> object) {
  Value value(kind);
  value.object_ = std::move(object);
  return value;
}

const std::string& Value::text() const noexcept { return get<Str>().s; }
const Str& Value::str() const noexcept { return get<Str>(); }
const std::vector<Value>& Value::items() const noexcept { return get<Seq>().v; }
const Dict& Value::dict() const noexcept { return get<Dict>(); }

std::size_t ValueHash::operator()(const Value& value) const {
  switch (value.kind()) {
    case Kind::kString:
      return std::hash<std::string>{}(value.text());
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:
      return std::hash<double>{}(value.as_double());  // 1, 1.0 and True are one
    case Kind::kTuple: {
      std::size_t hash = 7;
      for (const auto& item : value.items()) hash = hash * 1000003 + (*this)(item);
      return hash;
    }
    case Kind::kList:
    case Kind::kDict:
    case Kind::kView:
      fail(fmt::format("unhashable type: '{}'", type_name(value)));
    case Kind::kUndefined:
    case Kind::kNone:
    case Kind::kRange:
      return static_cast<std::size_t>(value.kind());
    default:
      return std::hash<const void*>{}(value.ref().get());
  }
}

bool ValueEqual::operator()(const Value& a, const Value& b) const { return equal(a, b); }

void Dict::set(Value key, Value value) {
  depth = std::max(depth, nested_depth(std::max(key.depth(), value.depth())));
  const auto [it, fresh] = index.try_emplace(key, items.size());
  if (fresh) {
    items.emplace_back(std::move(key), std::move(value));
  } else {
    items[it->second].second = std::move(value);
  }
}

const Value* Dict::find(const Value& key) const {
  const auto it = index.find(key);
  return it == index.end() ? nullptr : &items[it->second].second;
}

std::size_t Range::size() const noexcept {
  if (step > 0) return start < stop ? static_cast<std::size_t>((stop - start - 1) / step + 1) : 0;
  return start > stop ? static_cast<std::size_t>((start - stop - 1) / -step + 1) : 0;
}

const Value* Namespace::find(std::string_view name) const {
  for (const auto& [key, value] : attrs) {
    if (key == name) return &value;
  }
  return nullptr;
}

void Namespace::set(std::string_view name, Value value) {
  for (auto& [key, old] : attrs) {
    if (key != name) continue;
    old = std::move(value);
    return;
  }
  attrs.emplace_back(name, std::move(value));
}

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return value.str().safe ? "Markup" : "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kView: {
      const auto part = value.get<View>().part;
      return part == View::Part::kKeys     ? "dict_keys"
             : part == View::Part::kValues ? "dict_values"
                                           : "dict_items";
    }
    case Kind::kRange:
      return "range";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kIterator:
      return "generator";
    case Kind::kLoop:
      return "LoopContext";
    case Kind::kMacro:
      return "Macro";
    case Kind::kFunction:
      return "function";
    case Kind::kCycler:
      return "Cycler";
    case Kind::kJoiner:
      return "Joiner";
  }
  return "object";
}

bool truthy(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.as_int() != 0;
    case Kind::kFloat:
      return value.as_double() != 0;
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kView:
    case Kind::kRange:
      return length(value) != 0;
    default:
      return true;
  }
}

std::size_t length(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return value.str().points;
    case Kind::kList:
    case Kind::kTuple:
      return value.items().size();
    case Kind::kDict:
      return value.dict().items.size();
    case Kind::kView:
      return value.get<View>().dict.dict().items.size();
    case Kind::kRange:
      return value.get<Range>().size();
    default:
      fail(fmt::format("object of type '{}' has no len()", type_name(value)));
  }
}

}  // namespace pajamas::jinja
