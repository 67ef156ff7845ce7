// Statements, scopes and macros.
#include "jinja/interpreter.h"

#include <fmt/format.h>

#include <functional>
#include <map>

#include "base/error.h"

namespace pajamas::jinja {
namespace {

constexpr int kMaxDepth = 2000;  // of nested evaluations: bounds the stack

}  // namespace

struct Interpreter::DepthGuard {
  explicit DepthGuard(Interpreter& interp) : interp_(interp) {
    if (interp_.depth_ >= kMaxDepth) fail_limit("macros or expressions are nested too deeply");
    ++interp_.depth_;
  }
  ~DepthGuard() { --interp_.depth_; }
  Interpreter& interp_;
};

// Makes another activation the current one.
struct Interpreter::FrameGuard {
  FrameGuard(Interpreter& interp, std::shared_ptr<Activation> frame)
      : interp_(interp), before_(std::exchange(interp.frame_, std::move(frame))) {}
  ~FrameGuard() { interp_.frame_ = std::move(before_); }
  Interpreter& interp_;
  std::shared_ptr<Activation> before_;
};

// Objects that can change may form cycles, which shared pointers never free: empty them all.
Interpreter::~Interpreter() {
  for (const auto& object : held_) {
    if (auto* ns = dynamic_cast<Namespace*>(object.get())) {
      ns->attrs = Dict();
    } else if (auto* activation = dynamic_cast<Activation*>(object.get())) {
      activation->slots.clear();
    } else if (auto* loop = dynamic_cast<Loop*>(object.get())) {
      loop->last_changed.reset();
    }
  }
}

void Interpreter::hold(std::shared_ptr<Object> object) { held_.push_back(std::move(object)); }

String Interpreter::run() {
  String result;
  out_ = &result;
  frame_ = make_counted<Activation>();
  frame_->slots.resize(static_cast<std::size_t>(program_.n_slots));
  hold(frame_);
  try {
    enter(program_.entry);
    exec_body(program_.body);
  } catch (Error& error) {
    error.at(fmt::format("chat template, line {}", line_));
    throw;
  }
  return result;
}

void Interpreter::output(std::string_view text) {
  charge_bytes(text.size(), kBytesCopied);
  out_->append(text);
}

Value& Interpreter::slot(const SlotRef& ref) {
  Activation* activation = frame_.get();
  for (int i = 0; i < ref.hops; ++i) activation = activation->parent.get();
  return activation->slots[static_cast<std::size_t>(ref.slot)];
}

Value Interpreter::lookup(std::string_view name) {
  const Value* found = context_.dict().find(name);
  return found ? *found : find_global(name);
}

void Interpreter::enter(const ScopeEntry& entry) {
  charge(entry.size());
  for (const auto& load : entry) {
    Value value;
    if (load.how == ScopeLoad::How::kAlias) value = slot(load.outer);
    if (load.how == ScopeLoad::How::kContext) value = lookup(load.name);
    frame_->slots[static_cast<std::size_t>(load.slot)] = std::move(value);
  }
}

// `x = x + ...` on a list that nobody else holds gives it up first, so that it grows where it is.
void Interpreter::exec_set(const Stmt& node) {
  if (!node.grows) {
    assign(*node.target, eval(*node.expr));
    return;
  }
  Value before = eval(*node.expr->kids[0]);
  const Value more = eval(*node.expr->kids[1]);
  line_ = node.line;
  Value* held =
      before.is_sequence() && before.kind() == more.kind() ? place(*node.target) : nullptr;
  if (held && held->ref() == before.ref()) *held = Value::none();
  assign(*node.target, add(std::move(before), more));
}

// Where the value of a name or of a namespace's attribute is; null where there is none.
Value* Interpreter::place(const Expr& target) {
  Value& variable = slot(target.ref);
  if (target.kind == ExprKind::kName) return &variable;
  if (!variable.is(Kind::kNamespace)) return nullptr;
  return const_cast<Value*>(variable.get<Namespace>().attrs.find(target.attr));
}

void Interpreter::assign(const Expr& target, const Value& value) {
  switch (target.kind) {
    case ExprKind::kName:
      slot(target.ref) = value;
      break;
    case ExprKind::kNamespaceRef: {
      const Value& ns = slot(target.ref);
      if (!ns.is(Kind::kNamespace)) fail("cannot assign attribute on non-namespace object");
      if (Value* held = place(target)) {
        *held = value;
      } else {
        ns.get<Namespace>().attrs.set(Value::string(target.attr), value);
      }
      break;
    }
    default:
      unpack(target, value);
  }
}

void Interpreter::unpack(const Expr& target, const Value& value) {
  const auto next = iterate(value);
  Vector<Value> items;
  Value item;
  while (next(item)) {
    if (items.size() == target.kids.size()) {
      fail(fmt::format("too many values to unpack (expected {})", target.kids.size()));
    }
    items.push_back(item);
  }
  if (items.size() < target.kids.size()) {
    fail(fmt::format("not enough values to unpack (expected {}, got {})", target.kids.size(),
                     items.size()));
  }
  for (std::size_t i = 0; i < items.size(); ++i) assign(*target.kids[i], items[i]);
}

Interpreter::Flow Interpreter::exec_body(const Body& body) {
  const DepthGuard guard(*this);
  for (const auto& node : body) {
    if (const Flow flow = exec(*node); flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::exec(const Stmt& node) {
  line_ = node.line;
  charge(1);
  switch (node.kind) {
    case StmtKind::kText:
      output(node.text);
      break;
    case StmtKind::kOutput: {
      const Value value = eval(*node.expr);
      if (value.is(Kind::kString)) {
        output(value.text());
      } else {
        output(to_str(value));
      }
      break;
    }
    case StmtKind::kIf:
      return exec_if(node);
    case StmtKind::kFor:
      return exec_for(node);
    case StmtKind::kSet:
      exec_set(node);
      break;
    case StmtKind::kSetBlock:
      return exec_set_block(node);
    case StmtKind::kMacro:
      slot(node.ref) = make_macro(*node.macro);
      break;
    case StmtKind::kCallBlock:
      exec_call_block(node);
      break;
    case StmtKind::kGeneration: {
      const Value body = make_macro(*node.macro);
      output(call_macro(body.get<Macro>(), {}).text());
      break;
    }
    case StmtKind::kFilterBlock:
      return exec_filter_block(node);
    case StmtKind::kWith:
      return exec_with(node);
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::exec_if(const Stmt& node) {
  for (const auto& branch : node.branches) {
    if (truthy(eval(*branch.test))) return exec_body(branch.body);
  }
  return exec_body(node.otherwise);
}

// The items that pass the loop's own `if`, evaluated when the loop asks for them.
Next Interpreter::filtered(Next source, const Stmt& node) {
  return [this, source = std::move(source), &node, frame = frame_,
          entered = false](Value& out) mutable {
    const FrameGuard guard(*this, frame);
    if (!entered) enter(node.test_entry);
    entered = true;
    while (source(out)) {
      charge(1);
      assign(*node.test_target, out);
      if (truthy(eval(*node.test))) return true;
    }
    return false;
  };
}

Interpreter::Flow Interpreter::exec_for(const Stmt& node) {
  const Value sequence = eval(*node.expr);
  auto loop = make_counted<Loop>();
  loop->depth = nested_depth(sequence.depth());
  loop->source = iterate(sequence);
  if (node.test) {
    // The filter keeps the activation, which may keep the loop.
    if (node.loop_slot >= 0 && held_.back() != frame_) hold(frame_);
    loop->source = filtered(std::move(loop->source), node);
  } else if (!sequence.is(Kind::kIterator)) {
    loop->size = length(sequence);
  }
  bool completed = false;
  Value item;
  while (loop->advance(item)) {
    charge(1);
    assign(*node.target, item);
    if (node.loop_slot >= 0) {
      frame_->slots[static_cast<std::size_t>(node.loop_slot)] = Value::object(Kind::kLoop, loop);
    }
    enter(node.entry);
    const Flow flow = exec_body(node.body);
    // jinja2 takes a loop whose every turn ends in `continue` or `break` for one without turns.
    if (flow == Flow::kNormal) completed = true;
    if (flow == Flow::kBreak) break;
  }
  if (completed || node.otherwise.empty()) return Flow::kNormal;
  enter(node.else_entry);
  return exec_body(node.otherwise);
}

Interpreter::Flow Interpreter::capture(const Body& body, String& out) {
  struct Restore {
    String*& target;
    String* before;
    ~Restore() { target = before; }
  } const restore{out_, std::exchange(out_, &out)};
  return exec_body(body);
}

Interpreter::Flow Interpreter::exec_set_block(const Stmt& node) {
  enter(node.entry);
  String text;
  if (const Flow flow = capture(node.body, text); flow != Flow::kNormal) return flow;
  Value value = Value::string(std::move(text));
  if (node.expr) {
    subject_ = value;
    value = eval(*node.expr);
  }
  assign(*node.target, value);
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::exec_filter_block(const Stmt& node) {
  enter(node.entry);
  String text;
  if (const Flow flow = capture(node.body, text); flow != Flow::kNormal) return flow;
  subject_ = Value::string(std::move(text));
  output(to_str(eval(*node.expr)));
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::exec_with(const Stmt& node) {
  enter(node.entry);
  for (std::size_t i = 0; i < node.targets.size(); ++i) {
    assign(*node.targets[i], eval(*node.values[i]));
  }
  return exec_body(node.body);
}

void Interpreter::exec_call_block(const Stmt& node) {
  const Value caller = make_macro(*node.macro);
  output(to_str(eval_call(*node.expr, &caller)));
}

Value Interpreter::make_macro(const MacroDef& def) {
  // A macro and the activation it lives in may hold each other.
  if (held_.back() != frame_) hold(frame_);
  auto macro = make_counted<Macro>();
  macro->def = &def;
  macro->home = frame_;
  return Value::object(Kind::kMacro, std::move(macro));
}

namespace {

// The named arguments of one call, taken one after the other.
class NamedArgs {
 public:
  explicit NamedArgs(const Args& args) : args_(args.named), taken_(args_.size()) {
    if (args_.size() < kFew) return;
    for (std::size_t i = 0; i < args_.size(); ++i) places_.emplace(args_[i].first, i);
  }

  // Missing where there is none of that name.
  Value take(std::string_view name) {
    const std::size_t i = find(name);
    if (i == args_.size() || taken_[i]) return {};
    taken_[i] = true;
    return args_[i].second;
  }

  // Calls fn(name, value) for those that are left.
  template <class Fn>
  void for_rest(Fn&& fn) const {
    for (std::size_t i = 0; i < args_.size(); ++i) {
      if (!taken_[i]) fn(args_[i].first, args_[i].second);
    }
  }

 private:
  static constexpr std::size_t kFew = 9;

  std::size_t find(std::string_view name) const {
    charge(1);
    if (!places_.empty()) {
      const auto it = places_.find(name);
      return it == places_.end() ? args_.size() : it->second;
    }
    std::size_t i = 0;
    while (i < args_.size() && args_[i].first != name) ++i;
    return i;
  }

  const Vector<std::pair<String, Value>>& args_;
  Vector<char> taken_;
  std::map<std::string_view, std::size_t, std::less<>,
           Counted<std::pair<const std::string_view, std::size_t>>>
      places_;
};

}  // namespace

Value Interpreter::call_macro(const Macro& macro, const Args& args) {
  const MacroDef& def = *macro.def;
  auto activation = make_counted<Activation>();
  activation->slots.resize(static_cast<std::size_t>(def.n_slots));
  activation->parent = macro.home;
  const auto put = [&](int slot, Value value) {
    activation->slots[static_cast<std::size_t>(slot)] = std::move(value);
  };
  NamedArgs named(args);
  const std::size_t n = def.params.size();
  for (std::size_t i = 0; i < n; ++i) {
    put(def.params[i].slot,
        i < args.positional.size() ? args.positional[i] : named.take(def.params[i].name));
  }
  if (def.caller_slot >= 0) {
    Value caller = named.take("caller");
    if (caller.is(Kind::kMissing) || caller.is(Kind::kNone)) {
      caller = Value::undefined("No caller defined");
    }
    put(def.caller_slot, std::move(caller));
  }
  if (def.kwargs_slot >= 0) {
    auto dict = make_counted<Dict>();
    named.for_rest(
        [&](const String& name, const Value& value) { dict->set(Value::string(name), value); });
    put(def.kwargs_slot, Value::object(Kind::kDict, std::move(dict)));
  } else {
    named.for_rest([&](const String& name, const Value&) {
      fail(fmt::format("macro '{}' takes no keyword argument '{}'", def.name, printable(name)));
    });
  }
  if (def.varargs_slot >= 0) {
    Vector<Value> rest;
    if (args.positional.size() > n) {
      rest.assign(args.positional.begin() + static_cast<std::ptrdiff_t>(n), args.positional.end());
    }
    put(def.varargs_slot, Value::tuple(std::move(rest)));
  } else if (args.positional.size() > n) {
    fail(fmt::format("macro '{}' takes not more than {} argument(s)", def.name, n));
  }
  return run_macro(def, std::move(activation));
}

Value Interpreter::run_macro(const MacroDef& def, std::shared_ptr<Activation> activation) {
  const DepthGuard guard(*this);
  const FrameGuard frame(*this, std::move(activation));
  const int line = line_;
  enter(def.entry);
  charge(def.params.size());
  for (const auto& param : def.params) {
    Value& value = frame_->slots[static_cast<std::size_t>(param.slot)];
    if (!value.is(Kind::kMissing)) continue;
    if (param.fallback) {
      Value fallback = eval(*param.fallback);
      frame_->slots[static_cast<std::size_t>(param.slot)] = std::move(fallback);
    } else {
      value = Value::undefined(fmt::format("parameter '{}' was not provided", param.name));
    }
  }
  String text;
  capture(def.body, text);
  line_ = line;
  return Value::string(std::move(text));
}

bool Loop::advance(Value& out) {
  if (!after.is(Kind::kMissing)) {
    out = std::exchange(after, Value());
  } else if (!source(out)) {
    return false;
  }
  if (started) ++index0;
  started = true;
  before = std::exchange(current, out);
  return true;
}

bool Loop::peek() {
  if (!after.is(Kind::kMissing)) return true;
  return source(after) || (after = Value(), false);
}

std::size_t Loop::length() {
  if (size) return *size;
  // A sequence of unknown length is read to its end to count it.
  const auto rest = make_counted<Vector<Value>>();
  Value item;
  while (source(item)) {
    rest->push_back(item);
  }
  size = rest->size() + index0 + 1 + (after.is(Kind::kMissing) ? 0 : 1);
  source = [rest, i = std::size_t{0}](Value& out) mutable {
    if (i == rest->size()) return false;
    out = (*rest)[i++];
    return true;
  };
  return *size;
}

}  // namespace pajamas::jinja
