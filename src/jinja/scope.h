// The names that a scope of a template owns, while it is being resolved (resolve.cpp).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "jinja/ast.h"

namespace pajamas::jinja {

using NameSet = std::set<String, std::less<>, Counted<String>>;
template <class T>
using NameMap = std::map<String, T, std::less<>, Counted<std::pair<const String, T>>>;

// Where slots live: an activation of the program or of a macro.
struct Frame {
  int level = 0;
  int n_slots = 0;
};

struct Variable {
  int level = 0;
  int slot = -1;
};

// How a variable starts.
struct Load {
  enum class How { kParameter, kUnset, kAlias, kContext };
  How how = How::kUnset;
  Variable outer;  // of kAlias
};

// Branches of an `if` begin with what was known before it: what one of them changes is noted,
// undone at its end, and merged at the end of the `if`. So each branch costs what it holds, not
// what stands in front of it.
class Scope {
 public:
  struct Name {
    std::optional<Load> load;
    bool stored = false;
  };
  using Changes = NameMap<Name>;  // as the names are at the end of a branch

  Scope(Scope* parent, Frame& frame) : parent_(parent), frame_(frame) {}

  Frame& frame() { return frame_; }

  // Null where neither this scope nor one around it knows the name.
  const Variable* find(const String& name) const;
  SlotRef ref(const String& name) const;

  // The three ways to use a name.
  void load(const String& name);
  void store(const String& name);
  int declare(const String& name);  // returns its slot

  void begin_branch() { marks_.push_back(journal_.size()); }
  Changes end_branch();
  // What branches stored is set in some of them only: it starts as what is outside.
  void merge(const Vector<Changes>& branches);

  // What is to be loaded where the scope is entered.
  ScopeEntry entry() const;

 private:
  Name& change(const String& name);
  void define(const String& name, Load load);
  Load from_outside(const String& name, Load::How unknown) const;

  Scope* parent_;
  Frame& frame_;
  NameMap<Name> names_;
  NameMap<Variable> slots_;                  // outlives what branches forget
  Vector<std::pair<String, Name>> journal_;  // names as they were, each before it was changed
  Vector<std::size_t> marks_;                // where in the journal the open branches begin
};

}  // namespace pajamas::jinja
