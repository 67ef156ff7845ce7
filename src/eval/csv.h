// Tables as RFC 4180 has them: fields in quotes may hold commas, line ends and doubled quotes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pajamas::eval {

struct CsvRow {
  std::size_t line = 0;  // in which it begins, from 1
  std::vector<std::string> fields;
};

// Empty lines are no rows. Where there should be so many `columns` (0: any number), a row that has
// not, or that is none, is read as the published tables of MMLU write some of theirs: every text in
// quotes, the last field not, and quotes inside of a text not doubled. Throws Error{kCorruptFile},
// with the line, for a quote that is never closed and for text behind one that is.
std::vector<CsvRow> parse_csv(std::string_view text, std::size_t columns = 0);

}  // namespace pajamas::eval
