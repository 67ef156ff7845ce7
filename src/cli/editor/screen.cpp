#include "cli/editor/screen.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace pajamas::cli {
namespace {

constexpr std::string_view kNoWrap = "\x1b[?7l";
constexpr std::string_view kWrap = "\x1b[?7h";
constexpr std::string_view kHideCursor = "\x1b[?25l";
constexpr std::string_view kShowCursor = "\x1b[?25h";
constexpr std::string_view kClearRow = "\x1b[K";  // from the cursor on
constexpr std::string_view kClearBelow = "\x1b[J";

std::string move_rows(std::size_t from, std::size_t to) {
  if (from == to) return {};
  return "\x1b[" + std::to_string(from > to ? from - to : to - from) + (from > to ? "A" : "B");
}

void write_text(std::string& out, const Row& row, std::size_t size) {
  if (!row.certain) out += kNoWrap;
  out.append(row.text, 0, size);
  if (!row.certain) out += kWrap;
}

// The cursor is at the row's beginning. Terminals forget that a row goes on in the next one where
// that is cleared as a whole, and behind a full row the cursor still stands on its last character.
void write_row(std::string& out, const Row& row) {
  if (!row.certain) out += kClearRow;  // its end is not known; it does not go on from another row
  write_text(out, row, row.text.size());
  if (row.certain && !row.full) out += kClearRow;
}

}  // namespace

std::string Screen::draw(const Layout& layout, ScreenSize size) {
  const std::size_t count = layout.rows.size();
  const std::size_t shown = std::min(count, std::max<std::size_t>(1, size.rows));
  std::size_t first = std::min(first_, count - shown);
  first = std::min(first, layout.cursor_row);
  if (layout.cursor_row >= first + shown) first = layout.cursor_row - shown + 1;
  first_ = first;
  const auto begin = layout.rows.begin() + static_cast<std::ptrdiff_t>(first);
  return draw_rows({begin, begin + static_cast<std::ptrdiff_t>(shown)}, layout.cursor_row - first,
                   layout.cursor_byte);
}

std::string Screen::draw_rows(std::vector<Row> rows, std::size_t cursor_row,
                              std::size_t cursor_byte) {
  rows.back().joined = false;
  std::size_t same = 0;
  while (same < std::min(rows.size(), drawn_.size()) && rows[same] == drawn_[same]) ++same;
  std::string out(kHideCursor);
  std::size_t at = cursor_row_;
  if (same < rows.size()) {
    // Rows above stay. The last one of them does not go on by itself, or it would have changed.
    const bool below = same > 0 && same == drawn_.size();
    out += move_rows(at, below ? same - 1 : same);
    out += below ? "\r\n" : "\r";
    for (std::size_t i = same; i < rows.size(); ++i) {
      write_row(out, rows[i]);
      if (i + 1 < rows.size() && !rows[i].joined) out += "\r\n";
    }
    at = rows.size() - 1;
  }
  if (rows.size() < drawn_.size()) {
    out += move_rows(at, rows.size());
    out += '\r';
    out += kClearBelow;
    at = rows.size();
  }
  out += move_rows(at, cursor_row);
  out += '\r';
  write_text(out, rows[cursor_row], cursor_byte);
  out += kShowCursor;
  drawn_ = std::move(rows);
  cursor_row_ = cursor_row;
  cursor_byte_ = cursor_byte;
  return out;
}

std::string Screen::finish(const Layout& layout) {
  std::string out = draw(layout, {.columns = 0, .rows = layout.rows.size()});
  out += layout.spare ? "\r" : "\r\n";
  forget();
  return out;
}

std::string Screen::resize(std::size_t columns) {
  const std::size_t above = reflowed_row(drawn_, cursor_row_, cursor_byte_, columns);
  forget();
  return move_rows(above, 0) + std::string(kClearLines);
}

void Screen::forget() {
  drawn_.clear();
  first_ = 0;
  cursor_row_ = 0;
  cursor_byte_ = 0;
}

}  // namespace pajamas::cli
