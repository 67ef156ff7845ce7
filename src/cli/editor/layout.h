// How a prompt and a text lie on the rows of a terminal.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pajamas::cli {

struct Row {
  std::string text;  // as it is written
  std::size_t columns = 0;
  bool certain = true;  // terminals agree about its columns
  bool full = false;    // nothing more fits, a narrow character neither
  bool joined = false;  // what is written behind it goes on in the next row by itself

  bool operator==(const Row&) const = default;
};

struct Layout {
  std::vector<Row> rows;  // at least one
  std::size_t cursor_row = 0;
  std::size_t cursor_byte = 0;  // of the row's text
  bool spare = false;           // the last row is empty, for the cursor behind a full one
};

// `prompt` may hold colours (ESC [ ... m). `cursor` is an offset in `text`, which is valid UTF-8,
// on a boundary of characters. `width` is in columns. Characters stay whole; what acts on a
// terminal is shown instead.
Layout lay_out(std::string_view prompt, std::string_view text, std::size_t cursor,
               std::size_t width);

// The offset in `text` that lies `rows` (-1 or 1) below `cursor`, as near to column `goal` as that
// row allows; none where there is no such row. Sets `goal` to the cursor's column where it is none.
std::optional<std::size_t> vertical_move(std::string_view prompt, std::string_view text,
                                         std::size_t cursor, std::size_t width, int rows,
                                         std::optional<std::size_t>& goal);

// The row of the cursor, counted from the first of `rows`, once a terminal that breaks long rows
// anew has done so for `width`.
std::size_t reflowed_row(const std::vector<Row>& rows, std::size_t cursor_row,
                         std::size_t cursor_byte, std::size_t width);

}  // namespace pajamas::cli
