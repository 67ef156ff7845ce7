#include "cli/chat/line_source.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "cli/log.h"

namespace pajamas::cli {
namespace {

class PlainLines final : public LineSource {
 public:
  explicit PlainLines(ChatSignals& signals) : signals_(signals) {}

  Line read(const std::string& prompt) override {
    if (::isatty(STDIN_FILENO) != 0) log_text(prompt);
    for (;;) {
      const std::size_t at = unread_.find('\n', searched_);
      if (at != std::string::npos) return take(at, at + 1);
      searched_ = unread_.size();
      switch (signals_.wait(STDIN_FILENO)) {
        case ChatSignals::Event::kInterrupt:
          return {Line::End::kInterrupt, take(unread_.size(), unread_.size()).text};
        case ChatSignals::Event::kEnd:
          return {Line::End::kEnded, {}};
        case ChatSignals::Event::kInput:
          if (!fill()) {
            if (unread_.empty()) return {Line::End::kEof, {}};
            return take(unread_.size(), unread_.size());
          }
          break;
        default:
          break;
      }
    }
  }

  void remember(const std::string&) override {}

 private:
  Line take(std::size_t size, std::size_t consumed) {
    Line line{Line::End::kLine, unread_.substr(0, size)};
    unread_.erase(0, consumed);
    searched_ = 0;
    if (line.text.ends_with('\r')) line.text.pop_back();
    return line;
  }

  bool fill() {
    char bytes[65536];
    const ssize_t got = ::read(STDIN_FILENO, bytes, sizeof(bytes));
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (got <= 0) return false;
    unread_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }

  ChatSignals& signals_;
  std::string unread_;
  std::size_t searched_ = 0;
};

bool can_be_addressed() {
  const char* kind = std::getenv("TERM");
  return ::isatty(STDIN_FILENO) != 0 && ::isatty(STDERR_FILENO) != 0 && kind != nullptr &&
         *kind != '\0' && std::string_view(kind) != "dumb";
}

}  // namespace

std::unique_ptr<LineSource> open_lines(ChatSignals& signals, Completer complete) {
  if (can_be_addressed()) return open_line_editor(signals, std::move(complete));
  return std::make_unique<PlainLines>(signals);
}

}  // namespace pajamas::cli
