#include "jinja/scope.h"

namespace pajamas::jinja {
namespace {

constexpr std::size_t kScopeSteps = 5;  // steps

}  // namespace

const Variable* Scope::find(const String& name) const {
  for (const Scope* scope = this; scope; scope = scope->parent_) {
    charge(kScopeSteps);
    const auto it = scope->names_.find(name);
    if (it != scope->names_.end() && it->second.load) return &scope->slots_.at(name);
  }
  return nullptr;
}

SlotRef Scope::ref(const String& name) const {
  const Variable* found = find(name);
  if (!found) return {};
  return {frame_.level - found->level, found->slot};
}

Load Scope::from_outside(const String& name, Load::How unknown) const {
  const Variable* outer = parent_ ? parent_->find(name) : nullptr;
  return outer ? Load{Load::How::kAlias, *outer} : Load{unknown, {}};
}

void Scope::load(const String& name) {
  if (!find(name)) define(name, {Load::How::kContext, {}});
}

void Scope::store(const String& name) {
  Name& known = change(name);
  known.stored = true;
  if (!known.load) define(name, from_outside(name, Load::How::kUnset));
}

int Scope::declare(const String& name) {
  change(name).stored = true;
  define(name, {Load::How::kParameter, {}});
  return slots_.at(name).slot;
}

Scope::Changes Scope::end_branch() {
  Changes changes;
  const std::size_t mark = marks_.back();
  marks_.pop_back();
  for (; journal_.size() > mark; journal_.pop_back()) {
    auto& [name, before] = journal_.back();
    Name& known = names_[name];
    changes.emplace(name, known);  // only the last of a name's changes is new
    known = before;
  }
  return changes;
}

void Scope::merge(const Vector<Changes>& branches) {
  NameSet fresh;
  for (const auto& branch : branches) {
    for (const auto& [name, after] : branch) {
      if (after.stored && !names_[name].stored) fresh.insert(name);
    }
  }
  for (const auto& branch : branches) {
    for (const auto& [name, after] : branch) {
      Name& known = change(name);
      if (after.load) known.load = after.load;
      known.stored |= after.stored;
    }
  }
  for (const auto& name : fresh) change(name).load = from_outside(name, Load::How::kContext);
}

ScopeEntry Scope::entry() const {
  ScopeEntry out;
  for (const auto& [name, known] : names_) {
    if (!known.load || known.load->how == Load::How::kParameter) continue;
    ScopeLoad load;
    load.slot = slots_.at(name).slot;
    if (known.load->how == Load::How::kAlias) {
      load.how = ScopeLoad::How::kAlias;
      load.outer = {frame_.level - known.load->outer.level, known.load->outer.slot};
    } else if (known.load->how == Load::How::kContext) {
      load.how = ScopeLoad::How::kContext;
      load.name = name;
    }
    out.push_back(std::move(load));
  }
  return out;
}

// The name, to be changed: what it is now is noted for the end of the branch.
Scope::Name& Scope::change(const String& name) {
  charge(kScopeSteps);
  Name& known = names_[name];
  if (!marks_.empty()) journal_.emplace_back(name, known);
  return known;
}

void Scope::define(const String& name, Load load) {
  change(name).load = load;
  if (slots_.count(name) == 0) slots_[name] = {frame_.level, frame_.n_slots++};
}

}  // namespace pajamas::jinja
