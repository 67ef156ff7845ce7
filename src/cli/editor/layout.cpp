#include "cli/editor/layout.h"

#include <algorithm>

#include "text/graphemes.h"
#include "text/utf8.h"

namespace pajamas::cli {
namespace {

constexpr std::size_t kTabStops = 8;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// The bytes of a colour at the beginning of `text`.
std::size_t colour_size(std::string_view text) {
  if (!text.starts_with("\x1b[")) return 0;
  return std::min(text.find('m'), text.size() - 1) + 1;
}

bool is_control(std::uint32_t value) {
  return value < 0x20 || (value >= 0x7f && value < 0xa0) || value == 0x2028 || value == 0x2029;
}

// Puts one character behind the other, and begins rows.
class Flow {
 public:
  explicit Flow(std::size_t width) : width_(std::max<std::size_t>(1, width)) {}

  std::vector<Row> rows{1};

  const Row& row() const { return rows.back(); }

  void colour(std::string_view bytes) { rows.back().text += bytes; }

  // Begins a row unless the character still fits; to be called before `put`.
  void make_room(std::size_t columns) {
    if (columns == 0 || row().columns + columns <= width_ || row().columns == 0) return;
    rows.back().joined = true;
    rows.emplace_back();
  }

  void put(std::string_view bytes, std::size_t columns, bool certain) {
    Row& last = rows.back();
    last.text += bytes;
    last.columns += columns;
    last.certain = last.certain && certain;
  }

  void end_line() { rows.emplace_back(); }

  bool full() const { return row().columns >= width_; }
  std::size_t room() const { return width_ - std::min(width_, row().columns); }

 private:
  std::size_t width_;
};

// `visit(offset)` is called for each character of `text` once it is known on which row it lies,
// and then for the end.
template <class Visit>
void flow_text(Flow& flow, std::string_view text, Visit visit) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text::next_grapheme(text, at);
    const std::string_view cluster = text.substr(at, end - at);
    if (cluster.front() == '\n') {
      visit(at);
      flow.end_line();
    } else if (cluster.front() == '\t') {
      flow.make_room(1);
      visit(at);
      const std::size_t columns = std::min(flow.room(), kTabStops - flow.row().columns % kTabStops);
      flow.put(std::string(columns, ' '), columns, true);
    } else if (is_control(text::decode_code_point(cluster, 0).value)) {
      flow.make_room(1);
      visit(at);
      flow.put(kReplacement, 1, true);
    } else {
      const text::GraphemeColumns columns = text::grapheme_columns(cluster);
      flow.make_room(columns.count);
      visit(at);
      flow.put(cluster, columns.count, columns.certain);
    }
    at = end;
  }
  visit(text.size());
}

void flow_prompt(Flow& flow, std::string_view prompt) {
  while (!prompt.empty()) {
    const std::size_t size = colour_size(prompt);
    flow.colour(prompt.substr(0, size));
    prompt.remove_prefix(size);
    const std::size_t next = std::min(prompt.find('\x1b'), prompt.size());
    flow_text(flow, prompt.substr(0, next), [](std::size_t) {});
    if (next == 0 && size == 0) break;
    prompt.remove_prefix(next);
  }
}

}  // namespace

Layout lay_out(std::string_view prompt, std::string_view text, std::size_t cursor,
               std::size_t width) {
  Flow flow(width);
  Layout layout;
  flow_prompt(flow, prompt);
  flow_text(flow, text, [&](std::size_t offset) {
    if (offset != cursor) return;
    layout.cursor_row = flow.rows.size() - 1;
    layout.cursor_byte = flow.row().text.size();
  });
  if (cursor == text.size() && flow.full()) {
    flow.end_line();
    layout.spare = true;
    ++layout.cursor_row;
    layout.cursor_byte = 0;
  }
  layout.rows = std::move(flow.rows);
  for (std::size_t i = 0; i < layout.rows.size(); ++i) {
    Row& row = layout.rows[i];
    row.full = row.columns >= width;
    row.joined = row.joined && row.certain && layout.rows[i + 1].certain;
  }
  return layout;
}

std::optional<std::size_t> vertical_move(std::string_view prompt, std::string_view text,
                                         std::size_t cursor, std::size_t width, int rows,
                                         std::optional<std::size_t>& goal) {
  std::size_t row = 0;
  std::size_t column = 0;
  Flow flow(width);
  flow_prompt(flow, prompt);
  const std::size_t prompt_rows = flow.rows.size();
  flow_text(flow, text, [&](std::size_t offset) {
    if (offset != cursor) return;
    row = flow.rows.size();
    column = flow.row().columns;
  });
  if (cursor == text.size() && flow.full()) {  // it stands in the row below, which is spare
    flow.end_line();
    ++row;
    column = 0;
  }
  if (rows < 0 ? row <= prompt_rows : row >= flow.rows.size()) return std::nullopt;
  if (!goal) goal = column;
  const std::size_t target = rows < 0 ? row - 1 : row + 1;
  std::optional<std::size_t> found;
  Flow again(width);
  flow_prompt(again, prompt);
  flow_text(again, text, [&](std::size_t offset) {
    if (again.rows.size() != target) return;
    if (!found || again.row().columns <= *goal) found = offset;
  });
  return found;
}

std::size_t reflowed_row(const std::vector<Row>& rows, std::size_t cursor_row,
                         std::size_t cursor_byte, std::size_t width) {
  std::size_t above = 0;
  std::size_t row = 0;
  while (row < rows.size()) {
    // One line: the rows that go on into each other.
    std::size_t end = row;
    while (rows[end].joined && end + 1 < rows.size()) ++end;
    Flow flow(width);
    std::size_t cursor_in_line = 0;
    for (; row <= end; ++row) {
      const auto put = [&](std::string_view text) { flow_prompt(flow, text); };
      if (row == cursor_row) {
        put(std::string_view(rows[row].text).substr(0, cursor_byte));
        cursor_in_line = flow.rows.size() - 1;
        // On what comes next, if there is something; at the end it stays where it is.
        const bool at_end = row == end && cursor_byte == rows[row].text.size();
        if (flow.full() && !at_end) ++cursor_in_line;
        put(std::string_view(rows[row].text).substr(cursor_byte));
      } else {
        put(rows[row].text);
      }
    }
    if (cursor_row < row) return above + cursor_in_line;
    above += flow.rows.size();
  }
  return above;
}

}  // namespace pajamas::cli
