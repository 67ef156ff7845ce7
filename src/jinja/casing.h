// Case and number properties of code points, as Python's str knows them beyond utf8proc.
#pragma once

#include <string_view>

namespace pajamas::jinja {

// Cased, though the general category is not Ll (Lu).
bool is_other_lower(char32_t point);
bool is_other_upper(char32_t point);
// str.isdigit() but not str.isdecimal(): superscripts and their like.
bool is_digit_not_decimal(char32_t point);
// str.isnumeric() outside the category N: CJK numerals.
bool is_numeric_not_number(char32_t point);
// One-to-many mappings in UTF-8; empty where the simple mapping holds.
std::string_view special_upper(char32_t point);
std::string_view special_title(char32_t point);
std::string_view special_fold(char32_t point);

}  // namespace pajamas::jinja
