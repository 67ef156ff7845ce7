// The name somebody probably meant.
#pragma once

#include <span>
#include <string_view>

namespace pajamas {

// The candidate with the fewest single-character edits to `name`, ignoring case; candidates must
// not be empty.
std::string_view closest_name(std::string_view name, std::span<const std::string_view> candidates);

}  // namespace pajamas
