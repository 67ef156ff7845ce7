#include "cli/shell_words.h"

#include <algorithm>

namespace pajamas::cli {
namespace {

// '~' only means something at the beginning of a word, '=' behind a name there.
bool is_plain(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("_-./:@%+,").find(c) != std::string_view::npos;
}

}  // namespace

std::string shell_word(std::string_view word) {
  if (!word.empty() && std::ranges::all_of(word, is_plain)) return std::string(word);
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string shell_command(std::initializer_list<std::string_view> words) {
  std::string command;
  for (const std::string_view word : words) {
    command += command.empty() ? shell_word(word) : " " + shell_word(word);
  }
  return command;
}

std::string shell_command(std::span<const std::string> words) {
  std::string command;
  for (const std::string& word : words) command += (command.empty() ? "" : " ") + shell_word(word);
  return command;
}

std::string path_argument(std::string_view path) {
  return path.starts_with('-') ? "./" + std::string(path) : std::string(path);
}

}  // namespace pajamas::cli
