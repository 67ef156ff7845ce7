// Runs a parsed template over one context.
#pragma once

#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "jinja/ast.h"
#include "jinja/builtins.h"

namespace pajamas::jinja {

// The variables of one run of a function: the program, or one call of a macro.
struct Activation : Object {
  Vector<Value> slots;
  std::shared_ptr<Activation> parent;  // where the function was defined
};

struct Macro : Object {
  const MacroDef* def = nullptr;
  std::shared_ptr<Activation> home;
};

// The next item of a sequence, or false at its end.
using Next = std::function<bool(Value&)>;

// The `loop` variable.
struct Loop : Object {
  Next source;
  std::optional<std::size_t> size;
  std::size_t index0 = 0;
  bool started = false;
  Value after, current, before;  // missing where there is none
  std::optional<Vector<Value>> last_changed;

  bool advance(Value& out);
  bool peek();
  std::size_t length();
};

class Interpreter {
 public:
  // The variables are a dict whose keys are strings. There must be a budget (see budget.h), made
  // before the context and kept until both are gone.
  Interpreter(const Program& program, Value context, const std::tm& now)
      : program_(program), context_(std::move(context)), now_(now) {}
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  // The text that the template writes.
  String run();

  // For the built-in functions.
  const std::tm& now() const { return now_; }
  Next iterate(const Value& value);
  Vector<Value> to_list(const Value& value);
  Value attribute(const Value& object, std::string_view name);
  Value item(const Value& object, const Value& key);
  Value call(const Value& callee, const Args& args);
  Value call_filter(std::string_view name, const Value& subject, const Args& args);
  bool call_test(std::string_view name, const Value& subject, const Args& args);
  // Keeps an object that can change (and so can be part of a cycle) until the end of the run.
  void hold(std::shared_ptr<Object> object);

 private:
  enum class Flow { kNormal, kBreak, kContinue };
  struct DepthGuard;
  struct FrameGuard;

  // Statements.
  Flow exec_body(const Body& body);
  Flow exec(const Stmt& node);
  Flow exec_if(const Stmt& node);
  Flow exec_for(const Stmt& node);
  Flow exec_set_block(const Stmt& node);
  Flow exec_filter_block(const Stmt& node);
  Flow exec_with(const Stmt& node);
  void exec_call_block(const Stmt& node);
  Flow capture(const Body& body, String& out);
  Next filtered(Next source, const Stmt& node);
  void enter(const ScopeEntry& entry);
  void exec_set(const Stmt& node);
  Value* place(const Expr& target);
  void assign(const Expr& target, const Value& value);
  void unpack(const Expr& target, const Value& value);
  void output(std::string_view text);

  // Expressions.
  Value eval(const Expr& node);
  Value eval_kind(const Expr& node);
  Value eval_name(const Expr& node);
  Value eval_items(const Expr& node);
  Value eval_dict(const Expr& node);
  Value eval_concat(const Expr& node);
  Value eval_binary(const Expr& node);
  Value eval_logic(const Expr& node);
  Value eval_compare(const Expr& node);
  Value eval_condition(const Expr& node);
  Value eval_slice(const Expr& node);
  Value eval_call(const Expr& node, const Value* caller);
  Value eval_filter(const Expr& node);
  Value eval_test(const Expr& node);
  Args eval_args(const CallArgs& args);
  bool compare(Op op, const Value& a, const Value& b);

  Value call_macro(const Macro& macro, const Args& args);
  Value run_macro(const MacroDef& def, std::shared_ptr<Activation> activation);
  Value make_macro(const MacroDef& def);
  Value& slot(const SlotRef& ref);
  Value lookup(std::string_view name);

  const Program& program_;
  Value context_;
  std::tm now_;
  std::shared_ptr<Activation> frame_;
  String* out_ = nullptr;
  Value subject_;  // what a filter block or a block set filters
  Vector<std::shared_ptr<Object>> held_;
  int depth_ = 0;
  int line_ = 1;
};

}  // namespace pajamas::jinja
