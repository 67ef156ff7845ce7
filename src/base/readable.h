// Numbers as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace pajamas {

std::string readable_bytes(std::uint64_t bytes);   // "4.68 GB", powers of ten
std::string readable_seconds(double seconds);      // "1:05", "0.3 s"
std::string with_thousands(std::uint64_t number);  // "7,615,616,512"

// With three significant figures: "0.512", "6.52", "43.1", "4,300".
std::string readable_rate(double per_second);
std::string readable_byte_rate(double per_second);  // "34.1 GB/s", powers of ten

}  // namespace pajamas
