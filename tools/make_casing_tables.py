#!/usr/bin/env python3
"""Writes src/jinja/casing.cpp: what Python's str methods know of case beyond simple mappings.

utf8proc gives general categories and one-to-one mappings. Python's str also uses the one-to-many
mappings (SpecialCasing.txt) and the properties Other_Lowercase, Other_Uppercase and numeric types.
Usage: tools/make_casing_tables.py > src/jinja/casing.cpp
"""
import sys
import unicodedata

POINTS = [chr(c) for c in range(0x80, 0x110000) if not 0xD800 <= c < 0xE000]


def ranges(test):
    out = []
    for char in POINTS:
        if not test(char):
            continue
        point = ord(char)
        if out and out[-1][1] == point - 1:
            out[-1][1] = point
        else:
            out.append([point, point])
    return out


def write_ranges(name, test):
    rows = ranges(test)
    print(f"constexpr Range {name}[] = {{")
    line = "   "
    for low, high in rows:
        cell = f" {{0x{low:X}, 0x{high:X}}},"
        if len(line) + len(cell) > 98:
            print(line)
            line = "   "
        line += cell
    print(line + "\n};\n")


def utf8_literal(text):
    return '"' + "".join(f"\\x{b:02x}" for b in text.encode()) + '"'


def write_mapping(name, mapping):
    print(f"constexpr Mapping {name}[] = {{")
    line = "   "
    for char in POINTS:
        if len(mapping(char)) > 1:
            cell = f" {{0x{ord(char):X}, {utf8_literal(mapping(char))}}},"
            if len(line) + len(cell) > 98:
                print(line)
                line = "   "
            line += cell
    print(line + "\n};\n")


print(f"""// Case and number properties of Python's str that utf8proc does not have.
// Made by tools/make_casing_tables.py (Unicode {unicodedata.unidata_version}); do not edit.
#include "jinja/casing.h"

#include <algorithm>
#include <iterator>

namespace pajamas::jinja {{
namespace {{

struct Range {{
  char32_t low, high;
}};
struct Mapping {{
  char32_t from;
  std::string_view to;
}};
""")
print("// clang-format off")
category = unicodedata.category
write_ranges("kOtherLower", lambda c: c.islower() and category(c) != "Ll")
write_ranges("kOtherUpper", lambda c: c.isupper() and category(c) != "Lu")
write_ranges("kDigits", lambda c: c.isdigit() and not c.isdecimal())
write_ranges("kNumeric", lambda c: c.isnumeric() and category(c)[0] != "N")
write_mapping("kUpper", str.upper)
write_mapping("kTitle", str.title)
write_mapping("kFold", str.casefold)
print("""// clang-format on

template <std::size_t N>
bool in_ranges(const Range (&table)[N], char32_t point) {
  const auto* it = std::upper_bound(std::begin(table), std::end(table), point,
                                    [](char32_t p, const Range& r) { return p < r.low; });
  return it != std::begin(table) && point <= std::prev(it)->high;
}

template <std::size_t N>
std::string_view find_mapping(const Mapping (&table)[N], char32_t point) {
  const auto* it = std::lower_bound(std::begin(table), std::end(table), point,
                                    [](const Mapping& m, char32_t p) { return m.from < p; });
  return it != std::end(table) && it->from == point ? it->to : std::string_view{};
}

}  // namespace

bool is_other_lower(char32_t point) { return in_ranges(kOtherLower, point); }
bool is_other_upper(char32_t point) { return in_ranges(kOtherUpper, point); }
bool is_digit_not_decimal(char32_t point) { return in_ranges(kDigits, point); }
bool is_numeric_not_number(char32_t point) { return in_ranges(kNumeric, point); }
std::string_view special_upper(char32_t point) { return find_mapping(kUpper, point); }
std::string_view special_title(char32_t point) { return find_mapping(kTitle, point); }
std::string_view special_fold(char32_t point) { return find_mapping(kFold, point); }

}  // namespace pajamas::jinja""")
