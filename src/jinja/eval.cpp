// Expressions.
#include <fmt/format.h>

#include "base/error.h"
#include "jinja/interpreter.h"
#include "jinja/text.h"

namespace pajamas::jinja {

struct Deeper {
  Deeper(int& depth, int limit) : depth_(depth) {
    if (depth_ >= limit) fail_limit("macros or expressions are nested too deeply");
    ++depth_;
  }
  ~Deeper() { --depth_; }
  int& depth_;
};

Value Interpreter::eval(const Expr& node) {
  const Deeper guard(depth_, 2000);
  charge(1);
  return eval_kind(node);
}

Value Interpreter::eval_kind(const Expr& node) {
  switch (node.kind) {
    case ExprKind::kConst:
      return node.value;
    case ExprKind::kName:
      return eval_name(node);
    case ExprKind::kNamespaceRef:
      break;
    case ExprKind::kTuple:
    case ExprKind::kList:
      return eval_items(node);
    case ExprKind::kDict:
      return eval_dict(node);
    case ExprKind::kConcat:
      return eval_concat(node);
    case ExprKind::kBinary:
      return eval_binary(node);
    case ExprKind::kAnd:
    case ExprKind::kOr:
      return eval_logic(node);
    case ExprKind::kNot:
      return Value::boolean(!truthy(eval(*node.kids[0])));
    case ExprKind::kNegate:
      return negate(eval(*node.kids[0]));
    case ExprKind::kPlus:
      return add(Value::integer(0), negate(negate(eval(*node.kids[0]))));
    case ExprKind::kCompare:
      return eval_compare(node);
    case ExprKind::kCondition:
      return eval_condition(node);
    case ExprKind::kAttribute:
      return attribute(eval(*node.kids[0]), node.name);
    case ExprKind::kItem: {
      const Value object = eval(*node.kids[0]);
      return item(object, eval(*node.kids[1]));
    }
    case ExprKind::kSlice:
      return eval_slice(node);
    case ExprKind::kCall:
      return eval_call(node, nullptr);
    case ExprKind::kFilter:
      return eval_filter(node);
    case ExprKind::kTest:
      return eval_test(node);
  }
  fail("an assignment target is no value");
}

Value Interpreter::eval_name(const Expr& node) {
  if (node.ref.slot >= 0) {
    const Value& value = slot(node.ref);
    if (!value.is(Kind::kMissing)) return value;
  }
  return Value::undefined(fmt::format("'{}' is undefined", node.name));
}

Value Interpreter::eval_items(const Expr& node) {
  Vector<Value> items;
  items.reserve(node.kids.size());
  for (const auto& kid : node.kids) items.push_back(eval(*kid));
  return node.kind == ExprKind::kList ? Value::list(std::move(items))
                                      : Value::tuple(std::move(items));
}

Value Interpreter::eval_dict(const Expr& node) {
  auto dict = make_counted<Dict>();
  for (std::size_t i = 0; i < node.kids.size(); i += 2) {
    Value key = eval(*node.kids[i]);
    dict->set(std::move(key), eval(*node.kids[i + 1]));
  }
  return Value::object(Kind::kDict, std::move(dict));
}

Value Interpreter::eval_concat(const Expr& node) {
  Vector<Value> values;
  values.reserve(node.kids.size());
  for (const auto& kid : node.kids) values.push_back(eval(*kid));
  // What is appended to a long text costs no copy of it.
  const bool to_text = values[0].is(Kind::kString) && !values[0].str().safe;
  if (to_text && values.size() == 2 && values[1].is(Kind::kString)) {
    return append_text(values[0], values[1].text(), values[1].str().points);
  }
  String text;
  for (std::size_t i = to_text ? 1 : 0; i < values.size(); ++i) append_str(text, values[i]);
  if (!to_text) return Value::string(std::move(text));
  return append_text(values[0], text, count_points(text));
}

Value Interpreter::eval_binary(const Expr& node) {
  Value a = eval(*node.kids[0]);
  const Value b = eval(*node.kids[1]);
  line_ = node.line;
  switch (node.op) {
    case Op::kAdd:
      return add(std::move(a), b);
    case Op::kSub:
      return subtract(a, b);
    case Op::kMul:
      return multiply(a, b);
    case Op::kDiv:
      return true_divide(a, b);
    case Op::kFloorDiv:
      return floor_divide(a, b);
    case Op::kMod:
      return modulo(a, b);
    default:
      return power(a, b);
  }
}

Value Interpreter::eval_logic(const Expr& node) {
  Value left = eval(*node.kids[0]);
  return truthy(left) == (node.kind == ExprKind::kAnd) ? eval(*node.kids[1]) : left;
}

bool Interpreter::compare(Op op, const Value& a, const Value& b) {
  switch (op) {
    case Op::kEq:
      return equal(a, b);
    case Op::kNe:
      return !equal(a, b);
    case Op::kLt:
      return less(a, b);
    case Op::kGt:
      return less(b, a);
    // NaN is neither less nor equal.
    case Op::kLe:
      return less(a, b) || equal(a, b);
    case Op::kGe:
      return less(b, a) || equal(a, b);
    case Op::kIn:
      return contains(*this, b, a);
    default:
      return !contains(*this, b, a);
  }
}

Value Interpreter::eval_compare(const Expr& node) {
  Value left = eval(*node.kids[0]);
  for (std::size_t i = 0; i < node.ops.size(); ++i) {
    Value right = eval(*node.kids[i + 1]);
    if (!compare(node.ops[i], left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Interpreter::eval_condition(const Expr& node) {
  if (truthy(eval(*node.kids[0]))) return eval(*node.kids[1]);
  if (node.kids[2]) return eval(*node.kids[2]);
  return Value::undefined(
      fmt::format("the inline if-expression on line {} evaluated to false and no else section was "
                  "defined.",
                  node.line));
}

Value Interpreter::eval_slice(const Expr& node) {
  const Value object = eval(*node.kids[0]);
  Value parts[3];
  for (std::size_t i = 0; i < 3; ++i) {
    parts[i] = node.kids[i + 1] ? eval(*node.kids[i + 1]) : Value::none();
  }
  return slice(object, parts[0], parts[1], parts[2]);
}

Args Interpreter::eval_args(const CallArgs& call) {
  Args args;
  args.positional.reserve(call.positional.size());
  for (const auto& kid : call.positional) args.positional.push_back(eval(*kid));
  if (call.star) {
    for (auto& value : to_list(eval(*call.star))) args.positional.push_back(std::move(value));
  }
  for (const auto& [name, kid] : call.named) args.named.emplace_back(name, eval(*kid));
  if (!call.star_star) return args;
  const Value more = eval(*call.star_star);
  if (!more.is(Kind::kDict)) fail("argument after ** must be a mapping");
  const auto& items = more.dict().items;
  for (const auto& [name, value] : args.named) {
    if (more.dict().find(name)) {
      fail(fmt::format("multiple values for keyword argument '{}'", name));
    }
  }
  for (const auto& [key, value] : items) {
    if (!key.is(Kind::kString)) fail("keywords must be strings");
    args.named.emplace_back(key.text(), value);
  }
  return args;
}

Value Interpreter::eval_call(const Expr& node, const Value* caller) {
  const Value callee = eval(*node.kids[0]);
  Args args = eval_args(node.args);
  if (caller) {
    for (const auto& [name, value] : args.named) {
      if (name == "caller") fail("multiple values for keyword argument 'caller'");
    }
    args.named.emplace_back("caller", *caller);
  }
  line_ = node.line;
  return call(callee, args);
}

Value Interpreter::call(const Value& callee, const Args& args) {
  charge(1);
  switch (callee.kind()) {
    case Kind::kMacro:
      return call_macro(callee.get<Macro>(), args);
    case Kind::kFunction: {
      const auto& function = callee.get<Function>();
      return function.fn(*this, function.self, args);
    }
    case Kind::kUndefined:
      fail(callee.get<Undef>().hint);
    case Kind::kJoiner: {
      const Params none("joiner", args, {});
      auto& joiner = callee.get<Joiner>();
      if (joiner.used) return joiner.separator;
      joiner.used = true;
      return Value::string("");
    }
    case Kind::kLoop:
      fail("The loop must have the 'recursive' marker to be called recursively.");
    default:
      fail(fmt::format("'{}' object is not callable", type_name(callee)));
  }
}

Value Interpreter::eval_filter(const Expr& node) {
  const Value subject = node.kids[0] ? eval(*node.kids[0]) : subject_;
  const Args args = eval_args(node.args);
  line_ = node.line;
  if (!node.filter) fail_unsupported(fmt::format("filter '{}'", node.name));
  return node.filter->fn(*this, subject, args);
}

Value Interpreter::eval_test(const Expr& node) {
  const Value subject = eval(*node.kids[0]);
  const Args args = eval_args(node.args);
  line_ = node.line;
  if (!node.test) fail_unsupported(fmt::format("test '{}'", node.name));
  return node.test->fn(*this, subject, args);
}

Value Interpreter::call_filter(std::string_view name, const Value& subject, const Args& args) {
  const FilterDef* filter = find_filter(name);
  if (!filter) fail_unsupported(fmt::format("filter '{}'", printable(name)));
  charge(1);
  return filter->fn(*this, subject, args);
}

bool Interpreter::call_test(std::string_view name, const Value& subject, const Args& args) {
  const TestDef* test = find_test(name);
  if (!test) fail_unsupported(fmt::format("test '{}'", printable(name)));
  charge(1);
  return truthy(test->fn(*this, subject, args));
}

Next Interpreter::iterate(const Value& value) {
  charge(2);
  switch (value.kind()) {
    case Kind::kUndefined:
      return [](Value&) { return false; };
    case Kind::kList:
    case Kind::kTuple:
      return [value, i = std::size_t{0}](Value& out) mutable {
        if (i == value.items().size()) return false;
        charge(1);
        out = value.items()[i++];
        return true;
      };
    case Kind::kString:
      return [value, pos = std::size_t{0}](Value& out) mutable {
        const std::string_view text = value.text();
        if (pos == text.size()) return false;
        std::size_t end = pos + 1;
        while (end < text.size() && is_continuation(text[end])) ++end;
        out = Value::string(text.substr(pos, end - pos));
        pos = end;
        return true;
      };
    case Kind::kDict:
    case Kind::kView:
      return [value, i = std::size_t{0}](Value& out) mutable {
        const bool is_view = value.is(Kind::kView);
        const Dict& dict = is_view ? value.get<View>().dict.dict() : value.dict();
        if (i == dict.items.size()) return false;
        charge(1);
        const auto& [key, item] = dict.items[i++];
        const auto part = is_view ? value.get<View>().part : View::Part::kKeys;
        out = part == View::Part::kKeys     ? key
              : part == View::Part::kValues ? item
                                            : Value::tuple({key, item});
        return true;
      };
    case Kind::kRange:
      return [value, i = std::size_t{0}](Value& out) mutable {
        const auto& range = value.get<Range>();
        if (i == range.size()) return false;
        charge(1);
        out = Value::integer(range.at(i++));
        return true;
      };
    case Kind::kIterator:
      return [value](Value& out) {
        charge(1);
        return value.get<Iterator>().next(out);
      };
    case Kind::kLoop:
      fail_unsupported("iterating over the loop variable");
    default:
      fail(fmt::format("'{}' object is not iterable", type_name(value)));
  }
}

Vector<Value> Interpreter::to_list(const Value& value) {
  if (value.is_sequence()) return value.items();
  Vector<Value> items;
  const auto next = iterate(value);
  Value item;
  while (next(item)) items.push_back(item);
  return items;
}

}  // namespace pajamas::jinja
