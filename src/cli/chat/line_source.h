// Where the lines of a chat come from: an editor on a terminal, else standard input as it is.
#pragma once

#include <memory>
#include <string>

#include "cli/chat/signals.h"
#include "cli/editor/completion.h"

namespace pajamas::cli {

struct Line {
  enum class End {
    kLine,
    kEof,        // Ctrl-D, or the end of the input
    kInterrupt,  // Ctrl-C; `text` is what stood there
    kEnded,      // SIGTERM or SIGHUP
  };
  End end = End::kLine;
  std::string text;  // without line end; of an editor it may hold some (pasted, or recalled)
};

class LineSource {
 public:
  virtual ~LineSource() = default;
  virtual Line read(const std::string& prompt) = 0;
  // An entry for the history.
  virtual void remember(const std::string& entry) = 0;
};

// An editor (cli/editor/) where standard input and standard error are a terminal that can be
// addressed; the prompt is shown there. `complete` is what Tab does. Refers to `signals`.
std::unique_ptr<LineSource> open_lines(ChatSignals& signals, Completer complete);

// Whatever standard input and standard error are.
std::unique_ptr<LineSource> open_line_editor(ChatSignals& signals, Completer complete);

}  // namespace pajamas::cli
