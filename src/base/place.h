// Paths in messages.
#pragma once

#include <filesystem>
#include <string>

namespace pajamas {

// A path as Error::at takes it: printable, and not too long for a line.
std::string place_of(const std::filesystem::path& path);

}  // namespace pajamas
