// Scoping as jinja2 compiles it: every scope decides, before anything runs, which names it owns
// and how each starts (unset, a copy of an outer variable, or from the template's context).
#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

#include "base/error.h"
#include "jinja/ast.h"
#include "jinja/lexer.h"
#include "jinja/scope.h"

namespace pajamas::jinja {
namespace {

[[noreturn]] void fail_unknown(int line, const std::string& what) {
  throw Error(ErrorCode::kUnsupported, what + " is not supported",
              "this chat template needs a construct that is not known here")
      .at(fmt::format("chat template, line {}", line));
}

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
  Vector<Scope::Changes> branches;
  scope.begin_branch();
  note_body(scope, node.branches[0].body);
  branches.push_back(scope.end_branch());
  // jinja2 looks at all elif branches, tests included, as one.
  scope.begin_branch();
  for (std::size_t i = 1; i < node.branches.size(); ++i) {
    note(scope, *node.branches[i].test);
    scope.begin_branch();
    note_body(scope, node.branches[i].body);
    Vector<Scope::Changes> inner;
    inner.push_back(scope.end_branch());
    scope.merge(inner);
  }
  branches.push_back(scope.end_branch());
  scope.begin_branch();
  note_body(scope, node.otherwise);
  branches.push_back(scope.end_branch());
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
  explicit Finder(std::initializer_list<std::string_view> wanted)
      : wanted_(wanted.begin(), wanted.end()) {}

  NameSet in(const Body& body) {
    visit(body);
    return found_;
  }

 private:
  void visit(const Expr& expr, bool store = false) {
    charge(1);
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
    charge(1);
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

  NameSet wanted_;
  NameSet found_;
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
        node.grows = is_growth(node);
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
        Scope inner(&scope, scope.frame());
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

  // Whether `set` adds something to what its target holds.
  static bool is_growth(const Stmt& node) {
    if (node.expr->kind != ExprKind::kBinary || node.expr->op != Op::kAdd) return false;
    const Expr &left = *node.expr->kids[0], &target = *node.target;
    if (target.kind == ExprKind::kName) {
      return left.kind == ExprKind::kName && left.name == target.name;
    }
    return target.kind == ExprKind::kNamespaceRef && left.kind == ExprKind::kAttribute &&
           left.name == target.attr && left.kids[0]->kind == ExprKind::kName &&
           left.kids[0]->name == target.name;
  }

  void for_loop(Scope& scope, Stmt& node, bool soft) {
    expr(scope, *node.expr, soft);
    check_loop_name(node);
    Scope inner(&scope, scope.frame());
    if (!Finder({"loop"}).in(node.body).empty()) node.loop_slot = inner.declare("loop");
    note(inner, *node.target, Use::kParameter);
    note_body(inner, node.body);
    node.entry = inner.entry();
    expr(inner, *node.target, false);
    if (node.test) {
      Scope filter(&scope, scope.frame());
      note(filter, *node.test_target, Use::kParameter);
      note(filter, *node.test);
      node.test_entry = filter.entry();
      expr(filter, *node.test_target, false);
      expr(filter, *node.test, false);
    }
    ++loops_;
    body(inner, node.body, false);
    --loops_;
    Scope otherwise(&scope, scope.frame());
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
    Scope inner(&scope, scope.frame());
    note_body(inner, node.body);
    if (node.expr) note(inner, *node.expr);
    node.entry = inner.entry();
    body(inner, node.body, false);
    if (node.expr) expr(inner, *node.expr, false);
  }

  void with(Scope& scope, Stmt& node, bool soft) {
    for (auto& value : node.values) expr(scope, *value, soft);
    Scope inner(&scope, scope.frame());
    for (const auto& target : node.targets) note(inner, *target, Use::kParameter);
    note_body(inner, node.body);
    node.entry = inner.entry();
    for (auto& target : node.targets) expr(inner, *target, false);
    body(inner, node.body, false);
  }

  void macro(Scope& scope, Stmt& node) {
    MacroDef& def = *node.macro;
    Frame function{scope.frame().level + 1, 0};
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
  Frame function;
  Scope scope(nullptr, function);
  note_body(scope, program.body);
  program.entry = scope.entry();
  Resolver().body(scope, program.body, false);
  program.n_slots = function.n_slots;
}

}  // namespace pajamas::jinja
