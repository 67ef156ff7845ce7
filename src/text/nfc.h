// Normalization form C, in the reference tokenizer's version of Unicode.
#pragma once

#include <string>
#include <string_view>

namespace pajamas::text {

// NFC of well-formed UTF-8. Characters newer than the reference's tables stay as they are.
// Time is n log n, also for endless runs of combining marks.
std::string normalize_nfc(std::string_view valid_utf8);

}  // namespace pajamas::text
