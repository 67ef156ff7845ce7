#include "cli/process.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "cli/exit_status.h"

namespace pajamas::cli {
namespace {

// As long as the handlers, which stay installed to the very end.
StopFlag stop;

extern "C" void on_signal(int signal) {
  if (stop.requested()) ::_exit(128 + signal);
  note_ending_signal(signal);
  stop.request();
}

}  // namespace

void open_standard_streams() noexcept {
  for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(number, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest number that is free, which is this one.
    [[maybe_unused]] const int opened =
        ::open("/dev/null", number == STDIN_FILENO ? O_RDONLY : O_WRONLY);
  }
}

StopFlag& install_signal_handlers() noexcept {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);  // a macro on macOS
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    ::sigaction(signal, nullptr, &before);
    if (signal == SIGHUP && before.sa_handler == SIG_IGN) continue;
    ::sigaction(signal, &action, nullptr);
  }
  for (const int signal : {SIGPIPE, SIGXFSZ}) ::signal(signal, SIG_IGN);
  return stop;
}

}  // namespace pajamas::cli
