// A session of an engine that is given back when its owner goes.
#pragma once

#include "runtime/engine.h"

namespace pajamas::runtime {

// The engine must outlive it. Moves nowhere.
class OwnedSession {
 public:
  OwnedSession(Engine& engine, SessionId id) noexcept : engine_(engine), id_(id) {}
  OwnedSession(const OwnedSession&) = delete;
  OwnedSession& operator=(const OwnedSession&) = delete;
  ~OwnedSession() { engine_.release(id_); }
  SessionId id() const noexcept { return id_; }

 private:
  Engine& engine_;
  SessionId id_;
};

}  // namespace pajamas::runtime
