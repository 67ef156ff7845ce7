// Sizes as people write them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pajamas::cli {

// Bytes of "4.5GB", "512MiB", "800M", "123456": powers of ten, or of two with an i; a space before
// the unit and small letters are taken too. Throws Error{kUsage} at `option` for anything else.
std::uint64_t parse_byte_size(std::string_view text, const std::string& option);

}  // namespace pajamas::cli
