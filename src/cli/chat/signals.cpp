#include "cli/chat/signals.h"

#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/os.h"
#include "cli/exit_status.h"

namespace pajamas::cli {
namespace {

// What the handler, which any thread may run, has to know and to tell.
struct Shared {
  StopFlag* stop = nullptr;
  int wake = -1;  // a pipe: `poll` returns for it even if the signal came just before
  bool interrupt_ends = false;
  std::atomic<bool> interrupted{false};
  std::atomic<bool> ended{false};
  std::atomic<bool> resized{false};
  std::atomic<bool> resumed{false};
};
Shared shared;

extern "C" void on_chat_signal(int signal) {
  const int error = errno;
  if (signal == SIGWINCH) {
    shared.resized = true;
  } else if (signal == SIGCONT) {
    shared.resumed = true;
  } else if (signal == SIGINT && !shared.interrupt_ends) {
    shared.interrupted = true;
    shared.stop->request();
  } else {
    if (shared.ended.exchange(true)) ::_exit(128 + signal);
    note_ending_signal(signal);
    shared.stop->request();
  }
  const char byte = 0;
  [[maybe_unused]] const auto written = ::write(shared.wake, &byte, 1);
  errno = error;
}

}  // namespace

ChatSignals::ChatSignals(StopFlag& stop, bool interrupt_ends) : stop_(stop) {
  int ends[2];
  if (os::make_pipe(ends, false) != 0) {
    throw Error(ErrorCode::kIo, std::strerror(errno)).at("pipe for signals");
  }
  wake_ = ends[0];
  shared.stop = &stop;
  shared.wake = ends[1];
  shared.interrupt_ends = interrupt_ends;
  shared.interrupted = shared.ended = shared.resized = shared.resumed = false;
  struct sigaction action {};
  action.sa_handler = on_chat_signal;
  action.sa_flags = SA_RESTART;  // a write to the terminal is not cut short by a new window size
  sigemptyset(&action.sa_mask);  // a macro on macOS
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], &action, &before_[i]);
    // `nohup` is not undone.
    const bool kept = kSignals[i] == SIGHUP && before_[i].sa_handler == SIG_IGN;
    if (kept) ::sigaction(SIGHUP, &before_[i], nullptr);
  }
}

ChatSignals::~ChatSignals() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], &before_[i], nullptr);
  }
  ::close(wake_);
  ::close(shared.wake);
}

bool ChatSignals::ended() const noexcept { return shared.ended; }

void ChatSignals::clear_interrupt() noexcept {
  shared.interrupted = false;
  stop_.clear();
  if (shared.ended) stop_.request();
}

ChatSignals::Event ChatSignals::wait(int file) noexcept {
  for (;;) {
    if (shared.ended) return Event::kEnd;
    if (shared.interrupted) {
      clear_interrupt();
      return Event::kInterrupt;
    }
    if (shared.resumed.exchange(false)) return Event::kResumed;
    if (shared.resized.exchange(false)) return Event::kResized;
    pollfd files[2] = {{file, POLLIN, 0}, {wake_, POLLIN, 0}};
    if (::poll(files, 2, -1) < 0) continue;
    if (files[1].revents != 0) {
      char bytes[64];
      while (::read(wake_, bytes, sizeof(bytes)) > 0) {
      }
      continue;
    }
    return Event::kInput;
  }
}

}  // namespace pajamas::cli
