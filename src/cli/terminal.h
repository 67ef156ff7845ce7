// What goes to the person at the terminal: colours and progress.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "base/progress.h"
#include "base/readable.h"

namespace pajamas::cli {

enum class Colour { kRed, kBold, kDim };

// `text` in that colour as the log style says; by itself only where `stream` is a terminal that has
// colours.
std::string paint(std::string_view text, Colour colour, std::FILE* stream = stderr);

// As the log style says: nothing, JSON lines, a bar with rate and time left where standard error is
// a terminal, or plain lines.
std::unique_ptr<Progress> make_progress();

}  // namespace pajamas::cli
