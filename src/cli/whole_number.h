// What an option of a whole number takes.
#pragma once

#include <string>

namespace pajamas::cli {

// The number in `text` as CLI11 reads it. By itself it takes -1 for the largest unsigned number,
// what is too large for the largest there is, and 010 for 8. Throws Error{kUsage} at `option` for
// what is no whole number of 64 bits; `is_unsigned`: nor for one below 0.
std::string whole_number(const std::string& text, const std::string& option,
                         bool is_unsigned = false);

}  // namespace pajamas::cli
