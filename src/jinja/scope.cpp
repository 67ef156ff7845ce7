// Scoping as jinja2 compiles it: every scope decides, before anything runs, which names it owns
// and how each starts (unset, a copy of an outer variable, or from the template's context).
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "base/error.h"
#include "jinja/ast.h"
#include "jinja/lexer.h"

namespace pajamas::jinja {
namespace {

[[noreturn]] void fail_unknown(int line, const std::string& what) {
  throw Error(ErrorCode::kUnsupported, what + " is not supported",
              "this chat template needs a construct that is not known here")
      .at(fmt::format("chat template, line {}", line));
}

// An activation of the program or of a macro: where slots live.
struct Function {
  int level = 0;
  int n_slots = 0;
};

struct Variable {
  int level = 0;
  int slot = -1;
};

struct Load {
  enum class How { kParameter, kUnset, kAlias, kContext };
  How how = How::kUnset;
  Variable outer;
};

// What a scope knows of its names. Branches of an `if` work on copies that are merged.
struct Names {
  std::map<std::string, Load> refs;
  std::set<std::string> stores;
};

class Scope {
 public:
  Scope(Scope* parent, Function& function) : parent_(parent), function_(function) {}

  Function& function() { return function_; }

  const Variable* find(const std::string& name) const {
    if (names_.refs.count(name) != 0) return &slots_.at(name);
    return parent_ ? parent_->find(name) : nullptr;
  }

  SlotRef ref(const std::string& name) const {
    const Variable* found = find(name);
    if (!found) return {};
    return {function_.level - found->level, found->slot};
  }

  void load(const std::string& name) {
    if (!find(name)) define(name, {Load::How::kContext, {}});
  }

  void store(const std::string& name) {
    names_.stores.insert(name);
    if (names_.refs.count(name) != 0) return;
    const Variable* outer = parent_ ? parent_->find(name) : nullptr;
    define(name, outer ? Load{Load::How::kAlias, *outer} : Load{Load::How::kUnset, {}});
  }

  int declare(const std::string& name) {
    names_.stores.insert(name);
    define(name, {Load::How::kParameter, {}});
    return slots_.at(name).slot;
  }

  const Names& names() const { return names_; }
  void restore(Names names) { names_ = std::move(names); }

  // What the branches stored is set in some of them only: it starts as what is outside.
  void merge(const std::vector<Names>& branches) {
    std::set<std::string> fresh;
    for (const auto& branch : branches) fresh.insert(branch.stores.begin(), branch.stores.end());
    for (const auto& name : names_.stores) fresh.erase(name);
    for (const auto& branch : branches) {
      for (const auto& [name, how] : branch.refs) names_.refs[name] = how;
      names_.stores.insert(branch.stores.begin(), branch.stores.end());
    }
    for (const auto& name : fresh) {
      const Variable* outer = parent_ ? parent_->find(name) : nullptr;
      names_.refs[name] = outer ? Load{Load::How::kAlias, *outer} : Load{Load::How::kContext, {}};
    }
  }

  ScopeEntry entry() const {
    ScopeEntry out;
    for (const auto& [name, how] : names_.refs) {
      if (how.how == Load::How::kParameter) continue;
      ScopeLoad load;
      load.slot = slots_.at(name).slot;
      if (how.how == Load::How::kAlias) {
        load.how = ScopeLoad::How::kAlias;
        load.outer = {function_.level - how.outer.level, how.outer.slot};
      } else if (how.how == Load::How::kContext) {
        load.how = ScopeLoad::How::kContext;
        load.name = name;
      }
      out.push_back(std::move(load));
    }
    return out;
  }

 private:
  void define(const std::string& name, Load how) {
    names_.refs[name] = how;
    if (slots_.count(name) == 0) slots_[name] = {function_.level, function_.n_slots++};
  }

  Scope* parent_;
  Function& function_;
  Names names_;
  std::map<std::string, Variable> slots_;  // outlives what branches forget
};

// Calls fn on every direct subexpression.
template <class Fn>
void for_kids(const Expr& expr, Fn&& fn) {
  for (const auto& kid : expr.kids) {
    if (kid) fn(*kid);
  }
  for (const auto& kid : expr.args.positional) fn(*kid);
  for (const auto& [name, kid] : expr.args.named) fn(*kid);
  if (expr.args.star) fn(*expr.args.star);
  if (expr.args.star_star) fn(*expr.args.star_star);
}

// --- First pass over a scope: which names it loads and stores.

enum class Use { kLoad, kStore, kParameter };

void note(Scope& scope, const Expr& expr, Use use = Use::kLoad) {
  if (expr.kind == ExprKind::kName) {
    if (use == Use::kLoad) scope.load(expr.name);
    if (use == Use::kStore) scope.store(expr.name);
    if (use == Use::kParameter) scope.declare(expr.name);
    return;
  }
  if (expr.kind == ExprKind::kNamespaceRef) {
    scope.load(expr.name);
    return;
  }
  for_kids(expr, [&](const Expr& kid) { note(scope, kid, use); });
}

void note_body(Scope& scope, const Body& body);

void note_if(Scope& scope, const Stmt& node) {
  note(scope, *node.branches[0].test);
  const Names before = scope.names();
  std::vector<Names> branches;
  const auto close_branch = [&] {
    branches.push_back(scope.names());
    scope.restore(before);
  };
  note_body(scope, node.branches[0].body);
  close_branch();
  // jinja2 looks at all elif branches, tests included, as one.
  for (std::size_t i = 1; i < node.branches.size(); ++i) {
    note(scope, *node.branches[i].test);
    const Names inner = scope.names();
    note_body(scope, node.branches[i].body);
    Names after = scope.names();
    scope.restore(inner);
    scope.merge({std::move(after)});
  }
  close_branch();
  note_body(scope, node.otherwise);
  close_branch();
  scope.merge(branches);
}

void note_statement(Scope& scope, const Stmt& node) {
  switch (node.kind) {
    case StmtKind::kOutput:
      note(scope, *node.expr);
      break;
    case StmtKind::kIf:
      note_if(scope, node);
      break;
    case StmtKind::kFor:
      note(scope, *node.expr);
      break;
    case StmtKind::kSet:
      note(scope, *node.expr);
      note(scope, *node.target, Use::kStore);
      break;
    case StmtKind::kSetBlock:
      note(scope, *node.target, Use::kStore);
      break;
    case StmtKind::kMacro:
      scope.store(node.macro->name);
      break;
    case StmtKind::kCallBlock:
      note(scope, *node.expr);
      break;
    case StmtKind::kFilterBlock:
      note(scope, *node.expr);
      break;
    case StmtKind::kWith:
      for (const auto& value : node.values) note(scope, *value);
      break;
    default:
      break;
  }
}

void note_body(Scope& scope, const Body& body) {
  for (const auto& node : body) note_statement(scope, *node);
}

// --- Which special names a macro or loop uses.

class Finder {
 public:
  explicit Finder(std::set<std::string> wanted) : wanted_(std::move(wanted)) {}

  std::set<std::string> in(const Body& body) {
    visit(body);
    return found_;
  }

 private:
  void visit(const Expr& expr, bool store = false) {
    if (expr.kind == ExprKind::kName) {
      if (wanted_.count(expr.name) == 0) return;
      if (store) {
        wanted_.erase(expr.name);
      } else {
        found_.insert(expr.name);
      }
      return;
    }
    for_kids(expr, [&](const Expr& kid) { visit(kid, store); });
  }

  void visit(const Body& body) {
    for (const auto& node : body) visit(*node);
  }

  void visit(const Stmt& node) {
    if (node.target) visit(*node.target, true);
    for (const auto& target : node.targets) visit(*target, true);
    for (const auto& value : node.values) visit(*value);
    if (node.expr) visit(*node.expr);
    for (const auto& branch : node.branches) {
      visit(*branch.test);
      visit(branch.body);
    }
    if (node.macro) {
      for (const auto& param : node.macro->params) {
        wanted_.erase(param.name);
        if (param.fallback) visit(*param.fallback);
      }
      visit(node.macro->body);
    }
    visit(node.body);
    visit(node.otherwise);
    if (node.test) visit(*node.test);
  }

  std::set<std::string> wanted_;
  std::set<std::string> found_;
};

// --- Second pass: give every name its slot, and enter the inner scopes.

class Resolver {
 public:
  void body(Scope& scope, Body& body, bool soft) {
    for (const auto& node : body) statement(scope, *node, soft);
  }

 private:
  void expr(const Scope& scope, Expr& node, bool soft) {
    if (node.kind == ExprKind::kName || node.kind == ExprKind::kNamespaceRef) {
      if (node.name == "self" || node.name == "super") {
        fail_unknown(node.line, fmt::format("variable '{}'", node.name));
      }
      node.ref = scope.ref(node.name);
      return;
    }
    if (node.kind == ExprKind::kCondition) soft = true;
    if (node.kind == ExprKind::kFilter && !node.filter && !soft) {
      fail_unknown(node.line, fmt::format("filter '{}'", node.name));
    }
    if (node.kind == ExprKind::kTest && !node.test && !soft) {
      fail_unknown(node.line, fmt::format("test '{}'", node.name));
    }
    for_kids(node, [&](const Expr& kid) { expr(scope, const_cast<Expr&>(kid), soft); });
  }

  void statement(Scope& scope, Stmt& node, bool soft) {
    switch (node.kind) {
      case StmtKind::kText:
        break;
      case StmtKind::kOutput:
        expr(scope, *node.expr, soft);
        break;
      case StmtKind::kIf:
        for (auto& branch : node.branches) {
          expr(scope, *branch.test, true);
          body(scope, branch.body, true);
        }
        body(scope, node.otherwise, true);
        break;
      case StmtKind::kFor:
        for_loop(scope, node, soft);
        break;
      case StmtKind::kSet:
        expr(scope, *node.expr, soft);
        expr(scope, *node.target, soft);
        break;
      case StmtKind::kSetBlock:
        set_block(scope, node, soft);
        break;
      case StmtKind::kMacro:
        node.ref = scope.ref(node.macro->name);
        macro(scope, node);
        break;
      case StmtKind::kCallBlock:
        expr(scope, *node.expr, soft);
        macro(scope, node);
        break;
      case StmtKind::kGeneration:
        macro(scope, node);
        break;
      case StmtKind::kFilterBlock: {
        Scope inner(&scope, scope.function());
        note_body(inner, node.body);
        note(inner, *node.expr);
        node.entry = inner.entry();
        body(inner, node.body, false);
        expr(inner, *node.expr, false);
        break;
      }
      case StmtKind::kWith:
        with(scope, node, soft);
        break;
      case StmtKind::kBreak:
      case StmtKind::kContinue:
        if (loops_ == 0) fail_syntax(node.line, "'break' or 'continue' outside of a loop");
        break;
    }
  }

  void for_loop(Scope& scope, Stmt& node, bool soft) {
    expr(scope, *node.expr, soft);
    check_loop_name(node);
    Scope inner(&scope, scope.function());
    if (!Finder({"loop"}).in(node.body).empty()) node.loop_slot = inner.declare("loop");
    note(inner, *node.target, Use::kParameter);
    note_body(inner, node.body);
    node.entry = inner.entry();
    expr(inner, *node.target, false);
    if (node.test) {
      Scope filter(&scope, scope.function());
      note(filter, *node.test_target, Use::kParameter);
      note(filter, *node.test);
      node.test_entry = filter.entry();
      expr(filter, *node.test_target, false);
      expr(filter, *node.test, false);
    }
    ++loops_;
    body(inner, node.body, false);
    --loops_;
    Scope otherwise(&scope, scope.function());
    note_body(otherwise, node.otherwise);
    node.else_entry = otherwise.entry();
    body(otherwise, node.otherwise, false);
  }

  // jinja2 refuses templates that assign to `loop` anywhere inside a loop.
  void check_loop_name(const Stmt& node) {
    check_target(*node.target);
    check_body(node.body);
    check_body(node.otherwise);
  }
  void check_body(const Body& body_of) {
    for (const auto& node : body_of) {
      if (node->target) check_target(*node->target);
      for (const auto& branch : node->branches) check_body(branch.body);
      // Loops inside are checked when they are reached themselves.
      if (node->kind != StmtKind::kFor) check_body(node->body);
    }
  }
  void check_target(const Expr& target) {
    if (target.kind == ExprKind::kName && target.name == "loop") {
      fail_syntax(target.line, "Can't assign to special loop variable in for-loop target");
    }
    for (const auto& kid : target.kids) check_target(*kid);
  }

  void set_block(Scope& scope, Stmt& node, bool soft) {
    expr(scope, *node.target, soft);
    Scope inner(&scope, scope.function());
    note_body(inner, node.body);
    if (node.expr) note(inner, *node.expr);
    node.entry = inner.entry();
    body(inner, node.body, false);
    if (node.expr) expr(inner, *node.expr, false);
  }

  void with(Scope& scope, Stmt& node, bool soft) {
    for (auto& value : node.values) expr(scope, *value, soft);
    Scope inner(&scope, scope.function());
    for (const auto& target : node.targets) note(inner, *target, Use::kParameter);
    note_body(inner, node.body);
    node.entry = inner.entry();
    for (auto& target : node.targets) expr(inner, *target, false);
    body(inner, node.body, false);
  }

  void macro(Scope& scope, Stmt& node) {
    MacroDef& def = *node.macro;
    Function function{scope.function().level + 1, 0};
    Scope inner(&scope, function);
    const auto used = Finder({"caller", "kwargs", "varargs"}).in(def.body);
    const auto has_param = [&](std::string_view name) {
      return std::any_of(def.params.begin(), def.params.end(),
                         [&](const auto& param) { return param.name == name; });
    };
    for (auto& param : def.params) param.slot = inner.declare(param.name);
    def.uses_caller = used.count("caller") != 0;
    if (def.uses_caller && !has_param("caller")) def.caller_slot = inner.declare("caller");
    if (used.count("kwargs") != 0 && !has_param("kwargs")) {
      def.kwargs_slot = inner.declare("kwargs");
    }
    if (used.count("varargs") != 0 && !has_param("varargs")) {
      def.varargs_slot = inner.declare("varargs");
    }
    for (const auto& param : def.params) {
      if (param.name == "caller" && def.uses_caller && !param.fallback) {
        fail_syntax(param.line,
                    "the special \"caller\" argument must be omitted or have a default");
      }
      if (param.fallback) note(inner, *param.fallback);
    }
    note_body(inner, def.body);
    def.entry = inner.entry();
    for (auto& param : def.params) {
      if (param.fallback) expr(inner, *param.fallback, false);
    }
    const int loops = std::exchange(loops_, 0);
    body(inner, def.body, false);
    loops_ = loops;
    def.n_slots = function.n_slots;
  }

  int loops_ = 0;
};

}  // namespace

void resolve_names(Program& program) {
  Function function;
  Scope scope(nullptr, function);
  note_body(scope, program.body);
  program.entry = scope.entry();
  Resolver().body(scope, program.body, false);
  program.n_slots = function.n_slots;
}

}  // namespace pajamas::jinja
