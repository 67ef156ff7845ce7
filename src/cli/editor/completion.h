// What Tab may put in the place of what stands before the cursor.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace pajamas::cli {

struct Completion {
  bool applies = false;                 // else Tab is a character like others
  std::size_t begin = 0;                // of what is replaced, up to the cursor
  std::vector<std::string> candidates;  // sorted
  bool paths = false;                   // of which a list shows the last part only
  std::string behind;                   // follows a candidate that is the only one
};

// For the text before the cursor.
using Completer = std::function<Completion(std::string_view before)>;

// Files and folders (with a slash behind) whose paths begin with `path`, as they would be typed:
// "~/" stays. Hidden ones only where the name begins with a dot. Names that cannot be typed (bytes
// that are not UTF-8, control characters) are left out.
std::vector<std::string> matching_paths(std::string_view path);

// The longest text that all begin with, cut where a character ends.
std::string common_prefix(const std::vector<std::string>& candidates);

// The candidates in columns, a line each row without line ends; what is too much for `rows` is
// counted in the last.
std::vector<std::string> candidate_rows(const Completion& completion, std::size_t columns,
                                        std::size_t rows);

}  // namespace pajamas::cli
