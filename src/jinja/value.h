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

#include "jinja/budget.h"

namespace pajamas::jinja {

// Wide enough for every integer that JSON and templates hold; beyond it is an error, not a wrap.
__extension__ typedef __int128 Int;

// What a template can do wrong while it runs (Python's TypeError and its like). Error{kUsage}.
[[noreturn]] void fail(std::string_view problem);
// A construct that exists but is not supported here. Error{kUnsupported}.
[[noreturn]] void fail_unsupported(std::string_view problem);
// What is beyond a limit. Error{kUnsupported}.
[[noreturn]] void fail_limit(std::string_view problem);

constexpr int kMaxNesting = 400;   // lists in lists
constexpr Int kMaxRange = 100000;  // jinja2.sandbox.MAX_RANGE

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
  static Value undefined(std::string_view hint);
  static Value none() { return Value(Kind::kNone); }
  static Value boolean(bool b);
  static Value integer(Int i);
  static Value real(double d);
  // `safe` marks what markupsafe calls Markup.
  static Value string(String&& text, bool safe = false);
  static Value string(std::string_view text, bool safe = false);
  static Value string(const char* text, bool safe = false) {
    return string(std::string_view(text), safe);
  }
  static Value list(Vector<Value> items);
  static Value tuple(Vector<Value> items);
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
  // Valid until a text is appended to this one (see `append_text`).
  std::string_view text() const noexcept;
  const Str& str() const noexcept;
  const Vector<Value>& items() const noexcept;
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

// A text never changes, but its memory may be the beginning of a longer one's: what is appended to
// the end of such memory costs no copy of what stood there.
struct Str : Object {
  std::string_view view() const noexcept {
    return shared ? std::string_view(*shared).substr(0, size) : std::string_view(own);
  }
  bool ascii() const noexcept { return points == view().size(); }
  // Byte offset of code point `index` (may be the length): one step, once the text was indexed.
  std::size_t offset(std::size_t index) const;
  // Makes `offset` fast. Later calls change nothing.
  void make_index() const;

  String own;                      // the text, or
  std::shared_ptr<String> shared;  // what begins with it
  std::size_t size = 0;            // of that beginning
  std::size_t points = 0;          // length in code points
  mutable Vector<std::uint32_t> index;
  bool safe = false;
};

struct Seq : Object {
  Vector<Value> v;
  bool group = false;  // what groupby yields: a tuple with the names `grouper` and `list`
};

struct Undef : Object {
  String hint;
};

// Both also take the text of a key.
struct ValueHash {
  using is_transparent = void;
  std::size_t operator()(const Value& value) const;
  std::size_t operator()(std::string_view text) const;
};
struct ValueEqual {
  using is_transparent = void;
  bool operator()(const Value& a, const Value& b) const;
  bool operator()(const Value& a, std::string_view b) const;
  bool operator()(std::string_view a, const Value& b) const { return (*this)(b, a); }
};

// Keeps the order of insertion; keys are hashable values.
struct Dict : Object {
  Vector<std::pair<Value, Value>> items;

  // Throws where the key is not hashable, or the value nests too deeply.
  void set(Value key, Value value);
  // Null where there is no such key; throws where it is not hashable.
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;

 private:
  template <class Key>
  std::size_t position(const Key& key) const;  // items.size() where there is no such key

  // Only of large ones: it costs more than it saves where a few keys are compared.
  std::unordered_map<Value, std::size_t, ValueHash, ValueEqual,
                     Counted<std::pair<const Value, std::size_t>>>
      index_;
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

// Its attributes. They may hold it in turn, so that its depth says nothing: it stays 0.
struct Namespace : Object {
  Dict attrs;
};

// A lazy one-shot sequence: what generators of filters are in Python.
struct Iterator : Object {
  virtual bool next(Value& out) = 0;  // false at the end
};

struct Cycler : Object {
  Vector<Value> items;
  std::size_t pos = 0;
};

struct Joiner : Object {
  Value separator;
  bool used = false;
};

// Throws where something that nests as deep as `below` cannot be put into another object.
int nested_depth(int below);
int max_depth(const Vector<Value>& items);

// The name Python gives the type of the value.
std::string_view type_name(const Value& value);
// Python's bool(), ==, str() and repr().
bool truthy(const Value& value);
bool equal(const Value& a, const Value& b);
String to_str(const Value& value);
String to_repr(const Value& value);
void append_str(String& out, const Value& value);
void append_repr(String& out, const Value& value);
// What str() or repr() begin with, for a message.
std::string excerpt(const Value& value);
// Python's a < b; throws for types without an order.
bool less(const Value& a, const Value& b);
// len(), or throws.
std::size_t length(const Value& value);

// `text` (which has `points` code points) behind a string. Costs what is appended where no other
// text was appended to `a`.
Value append_text(const Value& a, std::string_view text, std::size_t points);

String int_to_string(Int value);
// repr() of a float: the shortest digits that read back the same.
String float_to_string(double value);

}  // namespace pajamas::jinja
