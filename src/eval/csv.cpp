#include "eval/csv.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace pajamas::eval {
namespace {

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
  }

  std::vector<CsvRow> rows() {
    std::vector<CsvRow> rows;
    while (at_ < text_.size()) {
      CsvRow row{line_, {}};
      do {
        row.fields.push_back(text_.substr(at_).starts_with('"') ? quoted() : plain());
      } while (take(','));
      end_of_line();
      if (row.fields.size() > 1 || !row.fields.front().empty()) rows.push_back(std::move(row));
    }
    return rows;
  }

 private:
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

std::vector<CsvRow> parse_csv(std::string_view text) { return Reader(text).rows(); }

}  // namespace pajamas::eval
