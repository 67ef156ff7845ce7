// The table of exit statuses, and command-line mistakes as Errors.
#pragma once

#include <CLI/CLI.hpp>

#include "base/error.h"

namespace pajamas::cli {

// 2 usage, 3 not found, 4 corrupt, 5 unsupported, 6 exists, 7 no space, 8 input/output,
// 9 out of memory, 10 internal, 130 interrupted.
int exit_status(ErrorCode code) noexcept;

// Standard output does not take what is written.
Error output_error();

// The same error; where it says nothing of what to do next, with what its kind suggests.
Error with_hint(const Error& error);

// What CLI11 found wrong, in this program's form, with the nearest command where one was mistyped.
Error usage_error(const CLI::App& app, const CLI::ParseError& error);

}  // namespace pajamas::cli
