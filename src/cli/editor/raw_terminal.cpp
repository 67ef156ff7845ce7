#include "cli/editor/raw_terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

namespace pajamas::cli {

void RawTerminal::begin() {
  termios now{};
  if (::tcgetattr(STDIN_FILENO, &now) != 0) return;
  if (!raw_) before_ = now;
  raw_ = true;
  termios raw = before_;
  raw.c_iflag &= ~static_cast<tcflag_t>(ICRNL | INLCR | IGNCR | ISTRIP | IXON);
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | IEXTEN);
  raw.c_lflag |= static_cast<tcflag_t>(ISIG);
  raw.c_cc[VMIN] = 1;
  raw.c_cc[VTIME] = 0;
  (void)::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);  // what was typed ahead is not lost
  write("\x1b[?2004h");
}

void RawTerminal::end() {
  if (!raw_) return;
  raw_ = false;
  write("\x1b[?2004l");
  (void)::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
}

void RawTerminal::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, bytes.data(), bytes.size());
    if (written > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {  // a terminal that somebody has told not to wait
      pollfd file{STDERR_FILENO, POLLOUT, 0};
      (void)::poll(&file, 1, -1);
    } else if (errno != EINTR) {
      return;
    }
  }
}

ScreenSize RawTerminal::size() {
  winsize size{};
  ScreenSize result;
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0) return result;
  if (size.ws_col > 0) result.columns = size.ws_col;
  if (size.ws_row > 0) result.rows = size.ws_row;
  return result;
}

}  // namespace pajamas::cli
