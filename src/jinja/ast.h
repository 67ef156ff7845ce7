// The parsed template. Names are resolved to slots by resolve.cpp before anything runs.
#pragma once

#include <memory>
#include <utility>

#include "jinja/value.h"

namespace pajamas::jinja {

struct FilterDef;
struct TestDef;
struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

// A variable: `hops` functions (macros) outwards, then the slot of that activation.
struct SlotRef {
  int hops = 0;
  int slot = -1;
};

struct CallArgs {
  Vector<ExprPtr> positional;
  Vector<std::pair<String, ExprPtr>> named;
  ExprPtr star;       // *args
  ExprPtr star_star;  // **kwargs
};

enum class ExprKind {
  kConst,
  kName,          // name, ref
  kNamespaceRef,  // name.attr as an assignment target: name, attr, ref
  kTuple,
  kList,
  kDict,    // kids: key, value, key, value ...
  kConcat,  // kids
  kBinary,  // op, two kids
  kAnd,
  kOr,
  kNot,
  kNegate,
  kPlus,
  kCompare,    // kids: the operands; ops between them
  kCondition,  // kids: test, value, otherwise (may be null)
  kAttribute,  // kid, name
  kItem,       // kids: object, key
  kSlice,      // kids: object, start, stop, step (each may be null)
  kCall,       // kid, args
  kFilter,     // kid (null at the head of a filter block), name, args
  kTest,       // kid, name, args
};

enum class Op {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kFloorDiv,
  kMod,
  kPow,
  kEq,
  kNe,
  kLt,
  kLe,
  kGt,
  kGe,
  kIn,
  kNotIn
};

struct Expr : CountedNew {
  ExprKind kind = ExprKind::kConst;
  int line = 0;
  int depth = 0;  // of the tree below
  Op op = Op::kAdd;
  String name;
  String attr;
  Value value;
  SlotRef ref;
  Vector<ExprPtr> kids;
  Vector<Op> ops;
  CallArgs args;
  const FilterDef* filter = nullptr;
  const TestDef* test = nullptr;
};

// How a variable of a scope gets its value when the scope is entered.
struct ScopeLoad {
  enum class How { kUnset, kAlias, kContext };
  int slot = -1;
  How how = How::kUnset;
  SlotRef outer;  // of kAlias
  String name;    // of kContext
};
using ScopeEntry = Vector<ScopeLoad>;

struct Stmt;
using StmtPtr = std::unique_ptr<Stmt>;
using Body = Vector<StmtPtr>;

// The function that a macro, a call block or a generation block defines.
struct MacroDef : CountedNew {
  struct Param {
    String name;
    int line = 0;
    int slot = -1;
    ExprPtr fallback;
  };
  String name;
  Vector<Param> params;
  Body body;
  ScopeEntry entry;
  int n_slots = 0;
  bool explicit_caller = false;  // `caller` is one of the parameters
  int caller_slot = -1;          // where the body uses the implicit caller, kwargs, varargs
  int kwargs_slot = -1;
  int varargs_slot = -1;
  bool uses_caller = false;
};

enum class StmtKind {
  kText,         // text
  kOutput,       // expr
  kIf,           // branches, otherwise
  kFor,          // target, expr, test, body, otherwise
  kSet,          // target, expr
  kSetBlock,     // target, expr (filters, may be null), body
  kMacro,        // macro, ref
  kCallBlock,    // macro, expr
  kGeneration,   // macro
  kFilterBlock,  // expr, body
  kWith,         // branches without bodies are not used: targets, values, body
  kBreak,
  kContinue,
};

struct Branch {
  ExprPtr test;
  Body body;
};

struct Stmt : CountedNew {
  StmtKind kind = StmtKind::kText;
  int line = 0;
  String text;
  ExprPtr expr;
  ExprPtr target;
  ExprPtr test;
  Body body;
  Body otherwise;
  Vector<Branch> branches;
  Vector<ExprPtr> targets;
  Vector<ExprPtr> values;
  std::unique_ptr<MacroDef> macro;
  bool grows = false;     // kSet whose expression is the target (a name or attribute) + something
  SlotRef ref;            // of the macro's name
  ExprPtr test_target;    // the loop target again, in the scope of the loop's filter
  int loop_slot = -1;     // where the body uses `loop`
  ScopeEntry entry;       // of the body
  ScopeEntry test_entry;  // of the loop's filter
  ScopeEntry else_entry;  // of the loop's else
};

struct Program {
  Body body;
  ScopeEntry entry;
  int n_slots = 0;
  std::size_t bytes = 0;  // of memory that it takes
};

// Parses and resolves. Throws Error{kCorruptFile} on syntax errors, Error{kUnsupported} on
// constructs that are not known, both with the line, and on what is too large; kInterrupted.
std::unique_ptr<Program> parse(std::string_view source, const StopFlag* stop = nullptr);

// Gives every name its slot, with jinja2's scoping.
void resolve_names(Program& program);

}  // namespace pajamas::jinja
