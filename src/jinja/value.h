// The values of the template language: Python's, as far as a chat template can meet them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace pajamas::jinja {

// Wide enough for every integer that JSON and templates hold; beyond it is an error, not a wrap.
__extension__ typedef __int128 Int;

// What a template can do wrong while it runs (Python's TypeError and its like). Error{kUsage}.
[[noreturn]] void fail(std::string problem);
// A construct that exists but is not supported here. Error{kUnsupported}.
[[noreturn]] void fail_unsupported(std::string problem);
// A hostile template or conversation. Error{kUnsupported}.
[[noreturn]] void fail_limit(std::string problem);

constexpr std::size_t kMaxBytes = std::size_t{64} << 20;  // of one string, and of the output
constexpr std::size_t kMaxItems = std::size_t{4} << 20;   // of one list
constexpr int kMaxNesting = 400;                          // lists in lists
constexpr Int kMaxRange = 100000;                         // jinja2.sandbox.MAX_RANGE

enum class Kind : std::uint8_t {
  kMissing,  // an unset variable; no expression has this value
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kView,
  kRange,
  kNamespace,
  kIterator,
  kLoop,
  kMacro,
  kFunction,
  kCycler,
  kJoiner,
};

// Everything that does not fit into a Value. `depth` counts the objects below this one, so that
// no chain is deep enough to exhaust the stack when it is printed, compared or freed.
struct Object {
  virtual ~Object() = default;
  int depth = 0;
};

struct Str;
struct Seq;
struct Dict;

class Value {
 public:
  Value() = default;
  static Value undefined(std::string hint);
  static Value none() { return Value(Kind::kNone); }
  static Value boolean(bool b);
  static Value integer(Int i);
  static Value real(double d);
  // `safe` marks what markupsafe calls Markup.
  static Value string(std::string s, bool safe = false);
  static Value list(std::vector<Value> items);
  static Value tuple(std::vector<Value> items);
  static Value object(Kind kind, std::shared_ptr<Object> object);

  Kind kind() const noexcept { return kind_; }
  bool is(Kind kind) const noexcept { return kind_ == kind; }
  bool is_number() const noexcept {
    return kind_ == Kind::kBool || kind_ == Kind::kInt || kind_ == Kind::kFloat;
  }
  // bool counts as an integer, as in Python.
  bool is_integral() const noexcept { return kind_ == Kind::kBool || kind_ == Kind::kInt; }
  bool is_sequence() const noexcept { return kind_ == Kind::kList || kind_ == Kind::kTuple; }

  bool as_bool() const noexcept { return scalar_.i != 0; }
  Int as_int() const noexcept { return scalar_.i; }
  double as_double() const noexcept {
    return kind_ == Kind::kFloat ? scalar_.d : static_cast<double>(scalar_.i);
  }
  const std::string& text() const noexcept;
  const Str& str() const noexcept;
  const std::vector<Value>& items() const noexcept;
  const Dict& dict() const noexcept;
  template <class T>
  T& get() const noexcept {
    return static_cast<T&>(*object_);
  }
  const std::shared_ptr<Object>& ref() const noexcept { return object_; }
  int depth() const noexcept { return object_ ? object_->depth : 0; }

 private:
  explicit Value(Kind kind) : kind_(kind) {}

  Kind kind_ = Kind::kMissing;
  union Scalar {
    Int i;
    double d;
  } scalar_{0};
  std::shared_ptr<Object> object_;
};

struct Str : Object {
  std::string s;
  std::size_t points = 0;  // length in code points
  bool safe = false;
  bool ascii() const noexcept { return points == s.size(); }
};

struct Seq : Object {
  std::vector<Value> v;
  bool group = false;  // what groupby yields: a tuple with the names `grouper` and `list`
};

struct Undef : Object {
  std::string hint;
};

struct ValueHash {
  std::size_t operator()(const Value& value) const;
};
struct ValueEqual {
  bool operator()(const Value& a, const Value& b) const;
};

// Keeps the order of insertion; keys are hashable values.
struct Dict : Object {
  std::vector<std::pair<Value, Value>> items;
  std::unordered_map<Value, std::size_t, ValueHash, ValueEqual> index;

  // Throws where the key is not hashable, or the value nests too deeply.
  void set(Value key, Value value);
  const Value* find(const Value& key) const;
};

// dict.items(), .keys() and .values().
struct View : Object {
  enum class Part { kKeys, kValues, kItems };
  Value dict;
  Part part = Part::kKeys;
};

struct Range : Object {
  Int start = 0, stop = 0, step = 1;
  std::size_t size() const noexcept;
  Int at(std::size_t i) const noexcept { return start + static_cast<Int>(i) * step; }
};

struct Namespace : Object {
  std::vector<std::pair<std::string, Value>> attrs;
  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
};

// A lazy one-shot sequence: what generators of filters are in Python.
struct Iterator : Object {
  std::function<bool(Value&)> next;  // false at the end
};

struct Cycler : Object {
  std::vector<Value> items;
  std::size_t pos = 0;
};

struct Joiner : Object {
  Value separator;
  bool used = false;
};

// Throws where something that nests as deep as `below` cannot be put into another object.
int nested_depth(int below);
int max_depth(const std::vector<Value>& items);

// The name Python gives the type of the value.
std::string_view type_name(const Value& value);
// Python's bool(), ==, str() and repr().
bool truthy(const Value& value);
bool equal(const Value& a, const Value& b);
std::string to_str(const Value& value);
std::string to_repr(const Value& value);
// Python's a < b; throws for types without an order.
bool less(const Value& a, const Value& b);
// len(), or throws.
std::size_t length(const Value& value);

std::string int_to_string(Int value);
// repr() of a float: the shortest digits that read back the same.
std::string float_to_string(double value);

}  // namespace pajamas::jinja
