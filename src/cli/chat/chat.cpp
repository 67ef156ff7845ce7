#include "cli/chat/chat.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <new>
#include <string>

#include "base/error.h"
#include "cli/chat/commands.h"
#include "cli/chat/line_source.h"
#include "cli/chat/message_lines.h"
#include "cli/chat/session.h"
#include "cli/chat/signals.h"
#include "cli/log.h"
#include "cli/terminal.h"

namespace pajamas::cli {
namespace {

class Chat {
 public:
  Chat(RunModel& model, Context& context)
      : terminal_(::isatty(STDIN_FILENO) != 0),
        signals_(context.stop, !terminal_),
        session_(model, context),
        lines_(open_lines(signals_, complete_chat_line)) {}

  void run(const std::optional<std::string>& first) {
    if (terminal_) hint(session_.about() + "; /help lists the commands, Ctrl-D leaves");
    bool going = true;
    if (first) {
      if (terminal_) log_text(fmt::format("{}{}\n", prompt(), printable(*first, 1000)));
      going = handle({*first, false, *first});
    }
    while (going) going = read();
    session_.write_stats();
    if (signals_.ended()) throw Error(ErrorCode::kInterrupted, "stopped");
  }

 private:
  static void hint(std::string_view text) {
    log_text(paint(fmt::format("({})", text), Colour::kDim) + "\n");
  }

  std::string prompt() const {
    return paint(fmt::format("[{}]", session_.fill()), Colour::kDim) + " > ";
  }

  // One line and what follows from it; false: the chat ends.
  bool read() {
    const Line line = lines_->read(message_.begun() ? "... " : prompt());
    switch (line.end) {
      case Line::End::kEnded:
        return false;
      case Line::End::kEof:
        return at_end();
      case Line::End::kInterrupt:
        return at_interrupt(line.text.empty());
      case Line::End::kLine:
        break;
    }
    interrupted_ = false;
    if (!message_.push(line.text)) return true;
    const Message message = message_.take();
    if (message.text.find_first_not_of(" \t\r\n") == std::string::npos) return true;
    lines_->remember(message.entry);
    return handle(message);
  }

  bool at_end() {
    if (!message_.begun()) return false;
    if (terminal_) {  // as the end of a text in several lines: of this one, not of the chat
      message_.take();
      return true;
    }
    if (message_.in_block()) {
      throw Error(ErrorCode::kUsage, "the message that begins with \"\"\" has no end");
    }
    handle(message_.take());
    return false;
  }

  bool at_interrupt(bool empty) {
    if (!empty || message_.begun()) {
      message_.take();
      interrupted_ = false;
      return true;
    }
    if (interrupted_) return false;
    interrupted_ = true;
    hint("Ctrl-C again, Ctrl-D or /quit leaves");
    return true;
  }

  bool handle(const Message& message) {
    bool going = true;
    try {
      if (message.command) {
        going = run_chat_command(session_, message.text);
      } else {
        session_.say(message.text);
      }
    } catch (const Error& error) {
      if (!terminal_) throw;
      log_error(error);
    } catch (const std::bad_alloc&) {
      if (!terminal_) throw;
      log_error(Error(ErrorCode::kOutOfMemory, "not enough memory",
                      "close other programs, or use a smaller model or --ctx"));
    }
    signals_.clear_interrupt();
    return going && !signals_.ended();
  }

  const bool terminal_;
  ChatSignals signals_;
  ChatSession session_;
  std::unique_ptr<LineSource> lines_;
  MessageLines message_;
  bool interrupted_ = false;  // by Ctrl-C at an empty line, just before
};

}  // namespace

void chat(RunModel& model, const std::optional<std::string>& first, Context& context) {
  Chat chat(model, context);
  context.stop.check();  // Ctrl-C while the model was loaded ends the program
  chat.run(first);
}

}  // namespace pajamas::cli
