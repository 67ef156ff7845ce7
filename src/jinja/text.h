// Strings as Python's str sees them: sequences of code points, kept as valid UTF-8.
#pragma once

#include <cstddef>
#include <string_view>

#include "jinja/budget.h"

namespace pajamas::jinja {

inline bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }
bool is_valid_utf8(std::string_view text);
std::size_t count_points(std::string_view text);
// The code point at `pos`, which moves behind it. `text` is valid and `pos` inside.
char32_t next_point(std::string_view text, std::size_t& pos);
void append_point(String& out, char32_t point);
// Byte offset of code point `index` (may be the length), counted from the beginning.
std::size_t byte_offset(std::string_view text, std::size_t index);

// Properties, as the str methods of the same names.
bool is_space(char32_t point);
bool is_line_break(char32_t point);
bool is_alpha(char32_t point);
bool is_decimal(char32_t point);
bool is_digit(char32_t point);
bool is_numeric(char32_t point);
bool is_alnum(char32_t point);
bool is_lower(char32_t point);
bool is_upper(char32_t point);
bool is_title(char32_t point);
bool is_printable(char32_t point);
// Whether a name may hold (start with) this character.
bool is_name_char(char32_t point);
bool is_name_start(char32_t point);

String to_upper(std::string_view text);
String to_lower(std::string_view text);
String to_title(std::string_view text);
String to_capitalized(std::string_view text);
String swap_case(std::string_view text);
String fold_case(std::string_view text);

std::string_view strip_left(std::string_view text);
std::string_view strip_right(std::string_view text);
inline std::string_view strip(std::string_view text) { return strip_left(strip_right(text)); }
// Strips the code points that `chars` holds.
std::string_view strip_left(std::string_view text, std::string_view chars);
std::string_view strip_right(std::string_view text, std::string_view chars);

// repr() of a string, quotes included.
void append_repr_of_text(String& out, std::string_view text);
// &, <, >, ' and " as markupsafe escapes them.
String escape_html(std::string_view text);

}  // namespace pajamas::jinja
