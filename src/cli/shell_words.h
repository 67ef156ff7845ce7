// Commands that can be copied into a shell.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace pajamas::cli {

// The word as a POSIX shell reads it: itself, or quoted where it holds more than letters, digits
// and what never means anything to a shell.
std::string shell_word(std::string_view word);

// Words with blanks between them, each quoted where it has to be.
std::string shell_command(std::initializer_list<std::string_view> words);
std::string shell_command(std::span<const std::string> words);

// A path that no option is mistaken for: "./-x.gguf".
std::string path_argument(std::string_view path);

}  // namespace pajamas::cli
