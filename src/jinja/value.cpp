#include "jinja/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "jinja/text.h"

namespace pajamas::jinja {

void fail(std::string_view problem) {
  throw Error(ErrorCode::kUsage, std::string(problem),
              "check that messages, tools and options are what this chat template expects");
}

void fail_unsupported(std::string_view problem) {
  throw Error(ErrorCode::kUnsupported, std::string(problem) + " is not supported",
              "this chat template needs a construct that is not known here");
}

void fail_limit(std::string_view problem) {
  throw Error(ErrorCode::kUnsupported, std::string(problem),
              "the chat template or the conversation is too large to render");
}

int nested_depth(int below) {
  if (below >= kMaxNesting) fail_limit("values are nested too deeply");
  return below + 1;
}

int max_depth(const Vector<Value>& items) {
  int depth = 0;
  for (const auto& item : items) depth = std::max(depth, item.depth());
  return depth;
}

Value Value::undefined(std::string_view hint) {
  auto object = make_counted<Undef>();
  object->hint = hint;
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

Value Value::string(String&& text, bool safe) {
  auto object = make_counted<Str>();
  object->points = count_points(text);
  object->own = std::move(text);
  object->safe = safe;
  return Value::object(Kind::kString, std::move(object));
}

Value Value::string(std::string_view text, bool safe) { return string(String(text), safe); }

namespace {
Value make_seq(Kind kind, Vector<Value> items) {
  auto object = make_counted<Seq>();
  object->depth = nested_depth(max_depth(items));
  object->v = std::move(items);
  return Value::object(kind, std::move(object));
}

constexpr std::size_t kIndexStride = 32;  // code points
constexpr std::size_t kIndexedFrom = 9;   // items of a dict
constexpr std::size_t kSharedFrom = 512;  // bytes of a text
constexpr std::size_t kLookUp = 10;       // steps: a large table is somewhere in memory
}  // namespace

void Str::make_index() const {
  if (ascii() || !index.empty()) return;
  const std::string_view text = view();
  charge_bytes(text.size(), kBytesSearched);
  index.reserve(points / kIndexStride + 1);
  std::size_t point = 0;
  for (std::size_t pos = 0; pos < text.size(); ++pos) {
    if (is_continuation(text[pos])) continue;
    if (point++ % kIndexStride == 0) index.push_back(static_cast<std::uint32_t>(pos));
  }
}

std::size_t Str::offset(std::size_t at) const {
  const std::string_view text = view();
  if (at == 0 || points == text.size()) return at;
  if (at >= points) return text.size();
  make_index();
  charge(1);
  const std::size_t begin = index[at / kIndexStride];
  return begin + byte_offset(text.substr(begin), at % kIndexStride);
}

Value append_text(const Value& a, std::string_view text, std::size_t points) {
  const Str& before = a.str();
  const std::string_view old = before.view();
  if (text.empty()) return a;
  auto object = make_counted<Str>();
  object->points = before.points + points;
  object->safe = before.safe;
  if (before.shared && before.shared->size() == before.size) {
    object->shared = before.shared;
  } else if (old.size() >= kSharedFrom && old.size() >= text.size()) {
    object->shared = make_counted<String>();
    object->shared->reserve(2 * old.size());
    *object->shared = old;
  } else {
    object->own.reserve(old.size() + text.size());
    object->own.append(old).append(text);
    return Value::object(Kind::kString, std::move(object));
  }
  charge_bytes(text.size(), kBytesCopied);
  object->size = old.size() + text.size();
  object->shared->append(text);
  return Value::object(Kind::kString, std::move(object));
}

Value Value::list(Vector<Value> items) { return make_seq(Kind::kList, std::move(items)); }
Value Value::tuple(Vector<Value> items) { return make_seq(Kind::kTuple, std::move(items)); }

Value Value::object(Kind kind, std::shared_ptr<Object> object) {
  Value value(kind);
  value.object_ = std::move(object);
  return value;
}

std::string_view Value::text() const noexcept { return get<Str>().view(); }
const Str& Value::str() const noexcept { return get<Str>(); }
const Vector<Value>& Value::items() const noexcept { return get<Seq>().v; }
const Dict& Value::dict() const noexcept { return get<Dict>(); }

std::size_t ValueHash::operator()(std::string_view text) const {
  charge(kLookUp);
  charge_bytes(text.size(), kBytesSearched);
  return std::hash<std::string_view>{}(text);
}

std::size_t ValueHash::operator()(const Value& value) const {
  charge(kLookUp);
  switch (value.kind()) {
    case Kind::kString:
      charge_bytes(value.text().size(), kBytesSearched);
      return std::hash<std::string_view>{}(value.text());
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
bool ValueEqual::operator()(const Value& a, std::string_view b) const {
  charge(1);
  if (!a.is(Kind::kString) || a.text().size() != b.size()) return false;
  charge_bytes(b.size(), kBytesCopied);
  return a.text() == b;
}

template <class Key>
std::size_t Dict::position(const Key& key) const {
  if (!index_.empty()) {
    const auto it = index_.find(key);
    return it == index_.end() ? items.size() : it->second;
  }
  std::size_t i = 0;
  while (i < items.size() && !ValueEqual()(items[i].first, key)) ++i;
  return i;
}

void Dict::set(Value key, Value value) {
  depth = std::max(depth, nested_depth(std::max(key.depth(), value.depth())));
  if (!key.is(Kind::kString)) ValueHash()(key);  // throws where it has none
  const std::size_t at = position(key);
  if (at < items.size()) {
    items[at].second = std::move(value);
    return;
  }
  items.emplace_back(std::move(key), std::move(value));
  if (items.size() < kIndexedFrom) return;
  for (std::size_t i = index_.size(); i < items.size(); ++i) {
    index_.try_emplace(items[i].first, i);
  }
}

const Value* Dict::find(const Value& key) const {
  if (!key.is(Kind::kString)) ValueHash()(key);
  const std::size_t at = position(key);
  return at < items.size() ? &items[at].second : nullptr;
}

const Value* Dict::find(std::string_view key) const {
  const std::size_t at = position(key);
  return at < items.size() ? &items[at].second : nullptr;
}

std::size_t Range::size() const noexcept {
  if (step > 0) return start < stop ? static_cast<std::size_t>((stop - start - 1) / step + 1) : 0;
  return start > stop ? static_cast<std::size_t>((start - stop - 1) / -step + 1) : 0;
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
