#include "eval/csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"

namespace pajamas::eval {
namespace {

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
  }

  std::vector<CsvRow> rows(std::size_t columns) {
    std::vector<CsvRow> rows;
    while (at_ < text_.size()) {
      CsvRow row = columns == 0 ? strict() : row_of(columns);
      if (row.fields.size() > 1 || !row.fields.front().empty()) rows.push_back(std::move(row));
    }
    return rows;
  }

 private:
  CsvRow strict() {
    CsvRow row{line_, {}};
    do {
      row.fields.push_back(text_.substr(at_).starts_with('"') ? quoted() : plain());
    } while (take(','));
    end_of_line();
    return row;
  }

  CsvRow row_of(std::size_t columns) {
    const std::size_t at = at_;
    const std::size_t line = line_;
    std::optional<Error> wrong;
    CsvRow row;
    try {
      row = strict();
      if (row.fields.size() == columns) return row;
    } catch (const Error& error) {
      wrong = error;
    }
    const std::size_t behind = std::exchange(at_, at);
    const std::size_t next = std::exchange(line_, line);
    if (auto found = undoubled(columns)) return *found;
    if (wrong) throw Error(*wrong);
    at_ = behind;
    line_ = next;
    return row;
  }

  // "text","with "quotes" in it",1
  std::optional<CsvRow> undoubled(std::size_t columns) {
    constexpr auto kNone = std::string_view::npos;
    CsvRow row{line_, {}};
    if (!text_.substr(at_).starts_with('"')) return std::nullopt;
    std::size_t at = at_ + 1;
    while (row.fields.size() + 2 < columns) {
      const std::size_t end = text_.find("\",\"", at);
      if (end == kNone) return std::nullopt;
      row.fields.emplace_back(text_.substr(at, end - at));
      at = end + 3;
    }
    // The last text ends where nothing but a field without quotes and commas is left of the line.
    for (std::size_t end = text_.find("\",", at); end != kNone; end = text_.find("\",", end + 1)) {
      const std::size_t stop = std::min(text_.find_first_of("\r\n", end), text_.size());
      const std::string_view last = text_.substr(end + 2, stop - end - 2);
      if (last.find_first_of(",\"") != kNone) continue;
      row.fields.emplace_back(text_.substr(at, end - at));
      row.fields.emplace_back(last);
      line_ += static_cast<std::size_t>(std::ranges::count(text_.substr(at_, stop - at_), '\n'));
      at_ = stop;
      end_of_line();
      return row;
    }
    return std::nullopt;
  }

  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  void end_of_line() {
    (void)take('\r');
    if (take('\n')) ++line_;
  }

  std::string plain() {
    const std::size_t end = std::min(text_.find_first_of(",\r\n", at_), text_.size());
    std::string field(text_.substr(at_, end - at_));
    at_ = end;
    return field;
  }

  std::string quoted() {
    const std::size_t begun = line_;
    std::string field;
    ++at_;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '\n') ++line_;
      if (c != '"') {
        field += c;
      } else if (take('"')) {
        field += '"';
      } else {
        if (at_ < text_.size() && std::string_view(",\r\n").find(text_[at_]) == std::string::npos) {
          throw Error(ErrorCode::kCorruptFile, "text stands behind a closing quote",
                      "double the quotes inside a field")
              .at(fmt::format("line {}", line_));
        }
        return field;
      }
    }
    throw Error(ErrorCode::kCorruptFile, "a quote is never closed")
        .at(fmt::format("line {}", begun));
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
};

}  // namespace

std::vector<CsvRow> parse_csv(std::string_view text, std::size_t columns) {
  return Reader(text).rows(columns);
}

}  // namespace pajamas::eval
