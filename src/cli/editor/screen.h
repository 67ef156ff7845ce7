// What an editor has drawn on a terminal, and how the next state of it is reached.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "cli/editor/layout.h"

namespace pajamas::cli {

// Clears the cursor's line and all below it. tmux takes a clearing that begins in the upper left
// corner for one of the whole screen, and keeps what was there in its history.
inline constexpr std::string_view kClearLines = "\r\x1b[K \x1b[J\r";

struct ScreenSize {
  std::size_t columns = 80;
  std::size_t rows = 24;
};

// The member functions return the bytes to write. Nothing depends on how wide a terminal takes a
// character to be of which terminals do not agree: a row with such ones is kept from running over,
// and the cursor gets to its place by writing what stands before it once more.
class Screen {
 public:
  // From where the last drawing left the cursor, or from the line that it stands in. What is taller
  // than the terminal is shown in part, around the cursor.
  std::string draw(const Layout& layout, ScreenSize size);
  // All of it, whatever its height, for good; the cursor gets to the beginning of the row behind
  // it. The layout's cursor is at its end.
  std::string finish(const Layout& layout);
  // The terminal has another width now. Clears what had been drawn.
  std::string resize(std::size_t columns);
  // The cursor is in an empty line: somebody else has written, or the terminal has been cleared.
  void forget();

 private:
  std::string draw_rows(std::vector<Row> rows, std::size_t cursor_row, std::size_t cursor_byte);

  std::vector<Row> drawn_;
  std::size_t first_ = 0;  // the layout's row that is the first drawn
  std::size_t cursor_row_ = 0;
  std::size_t cursor_byte_ = 0;
};

}  // namespace pajamas::cli
