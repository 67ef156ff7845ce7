// Text broken into lines at words.
#pragma once

#include <cstddef>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

namespace pajamas::cli {

// Columns of the terminal that the stream goes to; nothing where it goes elsewhere.
std::optional<std::size_t> terminal_columns(std::FILE* stream);

// What help is laid out for: the terminal, else the variable COLUMNS, else 80.
std::size_t help_columns();

// Breaks lines at blanks so that they take at most `width` columns where their words allow it.
// Lines after the first of each line of `text` begin with `indent` blanks; `taken` columns of the
// very first line are in use already. Lines of `text` that begin with a blank are commands: they
// are broken as a shell takes it, a backslash at the end of a line and never inside of quotes.
std::string wrapped(std::string_view text, std::size_t width, std::size_t indent = 0,
                    std::size_t taken = 0);

// Columns that a text takes, as far as that can be told without a font: its characters.
std::size_t columns_of(std::string_view text) noexcept;

}  // namespace pajamas::cli
