// The terminal while a line is edited.
#pragma once

#include <termios.h>

#include <string_view>

#include "cli/editor/screen.h"

namespace pajamas::cli {

// Keys come as they are pressed and are not shown, and pastes are marked, from `begin` to `end` (or
// the end of its life). Ctrl-C and Ctrl-Z stay signals. Standard input and standard error are a
// terminal.
class RawTerminal {
 public:
  RawTerminal() = default;
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  ~RawTerminal() { end(); }

  // Again, too: behind a shell that has had the terminal.
  void begin();
  void end();

  static void write(std::string_view bytes);  // to standard error
  static ScreenSize size();

 private:
  bool raw_ = false;
  termios before_{};
};

}  // namespace pajamas::cli
