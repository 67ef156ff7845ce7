// The layout of a line that is edited, and what is written to a terminal for it. The terminal here
// is one that can be asked what it shows.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "cli/editor/edit_buffer.h"
#include "cli/editor/layout.h"
#include "cli/editor/screen.h"
#include "text/graphemes.h"

namespace pajamas::cli {
namespace {

using Texts = std::vector<std::string>;

constexpr std::string_view kFamily = "👨‍👩‍👧";

// Rows with $ where one goes on in the next by itself, and | where the cursor is.
Texts rows(std::string_view prompt, std::string_view text, std::size_t cursor, std::size_t width) {
  const Layout layout = lay_out(prompt, text, cursor, width);
  Texts lines;
  for (const Row& row : layout.rows) lines.push_back(row.text + (row.joined ? "$" : ""));
  lines.at(layout.cursor_row).insert(layout.cursor_byte, "|");
  return lines;
}

TEST(Layout, BreaksWhereARowIsFull) {
  EXPECT_EQ(rows("> ", "", 0, 10), Texts{"> |"});
  EXPECT_EQ(rows("> ", "abc", 1, 10), Texts{"> a|bc"});
  EXPECT_EQ(rows("> ", "abcdef", 6, 5), (Texts{"> abc$", "def|"}));
  EXPECT_EQ(rows("> ", "abcdef", 3, 5), (Texts{"> abc$", "|def"}));
  EXPECT_EQ(rows("> ", "abc", 3, 5), (Texts{"> abc", "|"}));  // there must be a place for it
  EXPECT_EQ(rows("> ", "abc", 0, 5), Texts{"> |abc"});
  EXPECT_EQ(rows("long prompt", "a", 1, 4), (Texts{"long$", " pro$", "mpta", "|"}));
}

TEST(Layout, KeepsCharactersWhole) {
  EXPECT_EQ(rows("", "abc日本", 9, 4), (Texts{"abc$", "日本", "|"}));
  EXPECT_EQ(rows("", "abe\u0301f", 5, 3), (Texts{"abe\u0301$", "|f"}));
  EXPECT_EQ(rows("", "日本", 6, 1),
            (Texts{"日$", "本", "|"}));  // what cannot fit is there all the same
  const std::string family(kFamily);
  EXPECT_EQ(rows("", "ab" + family + "cd", 0, 4), (Texts{"|ab" + family, "cd"}));
  EXPECT_EQ(rows("", "abc" + family, 0, 4), (Texts{"|abc", family}));
}

TEST(Layout, ShowsLineEndsAndTabs) {
  EXPECT_EQ(rows("> ", "a\n\tb\n", 5, 20), (Texts{"> a", "        b", "|"}));
  EXPECT_EQ(rows("", "ab\ncd", 2, 2), (Texts{"ab|", "cd"}));
  EXPECT_EQ(rows("", "abcdefg\th", 8, 8), (Texts{"abcdefg $", "|h"}));
  EXPECT_EQ(rows("", "abcdef\th", 8, 7), (Texts{"abcdef $", "h|"}));
}

TEST(Layout, LetsNothingActOnTheTerminal) {
  EXPECT_EQ(rows("", "a\x1b[2Jb", 0, 20), Texts{"|a\uFFFD[2Jb"});
  EXPECT_EQ(rows("",
                 "a\xc2\x9b"
                 "c\x7f",
                 0, 20),
            Texts{"|a\uFFFDc\uFFFD"});
}

TEST(Layout, CountsNoColumnsForColours) {
  EXPECT_EQ(rows("\x1b[2m[x]\x1b[0m > ", "ab", 2, 9), Texts{"\x1b[2m[x]\x1b[0m > ab|"});
  EXPECT_EQ(rows("\x1b[2m> ", "abc", 0, 4), (Texts{"\x1b[2m> |ab$", "c"}));
}

TEST(VerticalMove, GoesByRows) {
  const auto move = [](std::string_view text, std::size_t cursor, int by) {
    std::optional<std::size_t> goal;
    return vertical_move("> ", text, cursor, 6, by, goal);
  };
  // > abcd / efghij / kl
  EXPECT_EQ(move("abcdefghijkl", 7, -1), 1u);
  EXPECT_EQ(move("abcdefghijkl", 4, -1), 0u);  // the prompt is in the way
  EXPECT_EQ(move("abcdefghijkl", 2, 1), 8u);
  EXPECT_EQ(move("abcdefghijkl", 9, 1), 12u);
  EXPECT_EQ(move("abcdefghijkl", 3, -1), std::nullopt);
  EXPECT_EQ(move("abcdefghijkl", 11, 1), std::nullopt);
  EXPECT_EQ(move("abcd", 4, -1), 0u);  // from the place behind a full row
  EXPECT_EQ(move("ab\n\ncd", 1, 1), 3u);
  EXPECT_EQ(move("", 0, -1), std::nullopt);
  EXPECT_EQ(move("日本語", 9, -1), 0u);
  std::optional<std::size_t> goal;
  const std::string_view text = "abcd\n\nefghi";
  const auto first = vertical_move("> ", text, 2, 9, 1, goal);
  EXPECT_EQ(first, 5u);
  EXPECT_EQ(vertical_move("> ", text, *first, 9, 1, goal), 10u);  // column 4 again
}

// As much of a terminal as the editor uses. `family` is how many columns it takes for kFamily.
class FakeTerminal {
 public:
  FakeTerminal(std::size_t width, std::size_t height, std::size_t family)
      : width_(width), height_(height), family_(family), lines_(1) {}

  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      if (bytes.starts_with("\x1b[")) {
        const std::size_t end = bytes.find_first_of("ABJKhlm");
        control(bytes.substr(2, end - 2), bytes[end]);
        bytes.remove_prefix(end + 1);
      } else if (bytes.front() == '\r') {
        column_ = 0;
        bytes.remove_prefix(1);
      } else if (bytes.front() == '\n') {
        down();
        bytes.remove_prefix(1);
      } else {
        const std::size_t end = text::next_grapheme(bytes, 0);
        put(bytes.substr(0, end));
        bytes.remove_prefix(end);
      }
    }
  }

  // What is visible, and what has scrolled off above it.
  Texts lines() const {
    Texts texts;
    for (const Cells& cells : lines_) {
      std::string text;
      for (const std::string& cell : cells) text += cell;
      texts.push_back(text.substr(0, text.find_last_not_of(' ') + 1));
    }
    return texts;
  }
  std::size_t row() const { return row_; }
  std::size_t column() const { return std::min(column_, width_ - 1); }
  std::size_t columns_of(std::string_view text) const {
    std::size_t columns = 0;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = text::next_grapheme(text, at);
      columns += width_of(text.substr(at, end - at));
      at = end;
    }
    return columns;
  }

 private:
  using Cells = std::vector<std::string>;  // a wide character is in its first

  std::size_t width_of(std::string_view cluster) const {
    return cluster == kFamily ? family_ : text::grapheme_columns(cluster).count;
  }

  void control(std::string_view parameters, char final) {
    const std::size_t top = lines_.size() - std::min(lines_.size(), height_);
    if (final == 'A') row_ -= std::min(row_ - top, std::stoul(std::string(parameters)));
    if (final == 'B')
      row_ = std::min(lines_.size() - 1, row_ + std::stoul(std::string(parameters)));
    if (final == 'J') lines_.resize(row_ + 1);
    if (final == 'J' || final == 'K') {
      lines_[row_].resize(std::min(lines_[row_].size(), std::min(column_, width_ - 1)));
    }
    if (parameters == "?7") wraps_ = final == 'h';
  }

  void down() {
    if (++row_ == lines_.size()) lines_.emplace_back();
  }

  void put(std::string_view cluster) {
    const std::size_t columns = width_of(cluster);
    if (column_ + columns > width_) {
      if (wraps_) {
        down();
        column_ = 0;
      } else {
        column_ = width_ - std::min(width_, columns);
      }
    }
    Cells& cells = lines_[row_];
    cells.resize(std::max(cells.size(), column_ + columns), " ");
    cells[column_] = cluster;
    for (std::size_t i = 1; i < columns; ++i) cells[column_ + i].clear();
    column_ += columns;
  }

  std::size_t width_, height_, family_;
  std::vector<Cells> lines_;
  std::size_t row_ = 0;
  std::size_t column_ = 0;
  bool wraps_ = true;
};

void edit(EditBuffer& buffer, std::mt19937& random) {
  static constexpr std::string_view kTexts[] = {
      "a", "word ", "日", "e\u0301", "\n", kFamily, "a long piece of text, longer than rows are"};
  switch (random() % 12) {
    case 0:
      return buffer.erase_left();
    case 1:
      return buffer.left();
    case 2:
      return buffer.word_left();
    case 3:
      return buffer.line_begin();
    case 4:
      return buffer.line_end();
    case 5:
      return buffer.kill_to_space();
    case 6:
      return buffer.move_to(random() % (buffer.text().size() + 1));
    case 7:
      return buffer.right();
    default:
      return buffer.insert(kTexts[random() % std::size(kTexts)]);
  }
}

// Whatever was drawn before, the terminal shows the text as it is now, with the cursor where the
// terminal itself would have it behind the text before it.
TEST(Screen, ShowsWhatIsThere) {
  for (unsigned seed = 0; seed < 90; ++seed) {
    std::mt19937 random(seed);
    const std::size_t width = 3 + seed % 30;
    const std::size_t height = 2 + seed % 9;
    FakeTerminal terminal(width, height, seed % 3 == 0 ? std::min<std::size_t>(6, width) : 2);
    terminal.write("^\r\n");
    Screen screen;
    EditBuffer buffer;
    for (int step = 0; step < 60; ++step) {
      edit(buffer, random);
      const Layout layout = lay_out("> ", buffer.text(), buffer.cursor(), width);
      terminal.write(screen.draw(layout, {width, height}));
      const Row& row = layout.rows[layout.cursor_row];
      ASSERT_EQ(terminal.column(),
                std::min(width - 1, terminal.columns_of(row.text.substr(0, layout.cursor_byte))))
          << seed << ' ' << step;
      Texts lines = terminal.lines();
      // A row that is no longer there is an empty line.
      if (lines.size() == layout.rows.size() + 2 && lines.back().empty()) lines.pop_back();
      EXPECT_EQ(lines.front(), "^");
      const std::size_t shown = std::min(height, layout.rows.size());
      if (layout.rows.size() > height) {
        ASSERT_GE(lines.size(), height);
      } else {
        ASSERT_EQ(lines.size(), layout.rows.size() + 1) << seed << ' ' << step;
      }
      // The rows on the screen are some that follow each other, the cursor's among them.
      const std::size_t first = layout.cursor_row - (terminal.row() - (lines.size() - shown));
      for (std::size_t i = 0; i < shown; ++i) {
        const Row& each = layout.rows.at(first + i);
        if (terminal.columns_of(each.text) > width) continue;  // cut off, as it must be
        ASSERT_EQ(lines[lines.size() - shown + i],
                  each.text.substr(0, each.text.find_last_not_of(' ') + 1))
            << seed << ' ' << step << ' ' << i;
      }
    }
    buffer.move_to(buffer.text().size());
    const Layout layout = lay_out("> ", buffer.text(), buffer.cursor(), width);
    terminal.write(screen.finish(layout));
    EXPECT_EQ(terminal.column(), 0u);
    Texts expected{"^"};
    for (const Row& row : layout.rows) {
      expected.push_back(row.text.substr(0, row.text.find_last_not_of(' ') + 1));
    }
    if (!layout.spare) expected.emplace_back();
    const Texts lines = terminal.lines();
    ASSERT_EQ(lines.size(), expected.size()) << seed;
    if (seed % 3 != 0) {
      EXPECT_EQ(lines, expected) << seed;
    }
  }
}

TEST(Screen, WritesLittleForAKey) {
  Screen screen;
  const std::string text(5000, 'x');
  const auto draw = [&](const std::string& now) {
    return screen.draw(lay_out("> ", now, now.size(), 80), {80, 100}).size();
  };
  EXPECT_GT(draw(text), 5000u);
  EXPECT_LT(draw(text + "y"), 250u);
}

TEST(Reflow, CountsRowsAsTheTerminalBreaksThemAnew) {
  const auto row = [](std::string_view text, std::size_t cursor, std::size_t from, std::size_t to) {
    const Layout layout = lay_out("> ", text, cursor, from);
    return reflowed_row(layout.rows, layout.cursor_row, layout.cursor_byte, to);
  };
  const std::string text(38, 'x');
  EXPECT_EQ(row(text, 38, 80, 10), 3u);  // behind 40 columns: in the last of them, as tmux has it
  EXPECT_EQ(row(text, 28, 80, 10), 3u);  // on the 31st
  EXPECT_EQ(row(text, 27, 80, 10), 2u);
  EXPECT_EQ(row(text, 0, 80, 10), 0u);
  EXPECT_EQ(row(text, 37, 10, 80), 0u);
  EXPECT_EQ(row("日本語日本語", 18, 80, 5), 3u);  // "> 日", "本語", "日本", "語"; one to a column
  EXPECT_EQ(row("one\ntwo three\nfour", 18, 80, 5), 3u);
}

}  // namespace
}  // namespace pajamas::cli
