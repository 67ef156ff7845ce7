// JSON of unknown origin, and what to say of text that is none.
#pragma once

#include <cstddef>
#include <exception>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace pajamas {

// Numbers that are not finite are read as Python writes them (base/json_numbers.h).
// Throws Error{kCorruptFile}: "is not JSON: line 3, column 7: unexpected end of input".
nlohmann::json parse_json(std::string_view text);
// The same with keys in the order of the text. Also for more than `deepest` levels of brackets.
nlohmann::ordered_json parse_ordered_json(std::string_view text,
                                          std::size_t deepest = static_cast<std::size_t>(-1));

// "line 3, column 7: WHAT", for readers that take the library's events: what the library says of
// the byte before `end`. Both numbers begin at 1; columns count characters.
std::string json_fault(std::string_view text, std::size_t end, const std::exception& library);

// What the library says without its name, its number and its own place.
std::string json_fault(const std::exception& library);

}  // namespace pajamas
