// What an option of a whole number takes.
#pragma once

#include <string>

#include "cli/cli11_fwd.h"

namespace pajamas::cli {

// For Option::transform. CLI11 by itself takes -1 for the largest unsigned number, what is too
// large for the largest there is, and 010 for 8. Throws Error{kUsage} at `option` for what is no
// whole number of 64 bits; `is_unsigned`: nor for one below 0.
CLI::Validator whole_number(std::string option, bool is_unsigned = false);

}  // namespace pajamas::cli
