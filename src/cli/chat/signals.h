// Signals while a chat runs: Ctrl-C stops an answer or clears a line, and the program goes on.
#pragma once

#include <array>
#include <csignal>

#include "base/parallel.h"

namespace pajamas::cli {

// Installed while it lives; there is one at a time. All signals but the second SIGTERM or SIGHUP,
// which does not wait, are noticed by `wait` or through the stop flag.
class ChatSignals {
 public:
  // `interrupt_ends`: SIGINT is no different from SIGTERM.
  // Throws Error{kIo} where the system has no pipe left.
  ChatSignals(StopFlag& stop, bool interrupt_ends);
  ChatSignals(const ChatSignals&) = delete;
  ChatSignals& operator=(const ChatSignals&) = delete;
  ~ChatSignals();

  // SIGTERM or SIGHUP came.
  bool ended() const noexcept;
  // Forgets a Ctrl-C, so that the next answer is not stopped by it.
  void clear_interrupt() noexcept;

  enum class Event { kInput, kInterrupt, kEnd, kResized, kResumed };
  // Until `file` has something to read (or is at its end), or a signal comes, which is then
  // forgotten, all but kEnd.
  Event wait(int file) noexcept;

 private:
  static constexpr std::array<int, 5> kSignals{SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGCONT};

  StopFlag& stop_;
  int wake_ = -1;
  std::array<struct sigaction, kSignals.size()> before_{};
};

}  // namespace pajamas::cli
