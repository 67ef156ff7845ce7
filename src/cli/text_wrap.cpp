#include "cli/text_wrap.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <vector>

namespace pajamas::cli {
namespace {

constexpr std::size_t kNoTerminal = 80;
constexpr std::size_t kNarrowest = 20;  // less would be a word a line
constexpr std::size_t kWidest = 1000;
constexpr std::string_view kContinued = " \\";

// Words between blanks. Of a command a quoted text is one word, or the part of one.
std::vector<std::string_view> words_of(std::string_view line, bool command) {
  std::vector<std::string_view> words;
  std::size_t begin = std::string_view::npos;
  char quote = 0;
  for (std::size_t i = 0; i <= line.size(); ++i) {
    const char c = i < line.size() ? line[i] : ' ';
    if (quote != 0) {
      if (c == quote) quote = 0;
      if (i < line.size()) continue;
    } else if (command && (c == '"' || c == '\'') && i < line.size()) {
      quote = c;
    }
    if (c != ' ' && begin == std::string_view::npos) begin = i;
    if (i == line.size() || (c == ' ' && quote == 0)) {
      if (begin != std::string_view::npos) words.push_back(line.substr(begin, i - begin));
      begin = std::string_view::npos;
    }
  }
  return words;
}

void wrap_line(std::string_view line, std::size_t width, std::size_t indent, std::size_t taken,
               std::string& out) {
  const std::size_t lead = std::min(line.find_first_not_of(' '), line.size());
  const bool command = lead > 0;
  if (columns_of(line) + taken <= width) {
    out += line;
    return;
  }
  const std::size_t next = command ? lead + 4 : indent;
  const std::size_t spare = command ? kContinued.size() : 0;
  out.append(lead, ' ');
  std::size_t at = taken + lead;
  bool first = true;
  for (const std::string_view word : words_of(line.substr(lead), command)) {
    const std::size_t size = columns_of(word);
    if (!first && at + 1 + size + spare > width) {
      if (command) out += kContinued;
      out += '\n';
      out.append(next, ' ');
      at = next;
    } else if (!first) {
      out += ' ';
      ++at;
    }
    out += word;
    at += size;
    first = false;
  }
}

}  // namespace

std::optional<std::size_t> terminal_columns(std::FILE* stream) {
  winsize size{};
  if (::ioctl(::fileno(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return std::nullopt;
  return size.ws_col;
}

std::size_t help_columns() {
  if (const auto columns = terminal_columns(stdout)) {
    return std::clamp(*columns, kNarrowest, kWidest);
  }
  const char* given = std::getenv("COLUMNS");
  const std::string_view text = given == nullptr ? "" : given;
  std::size_t columns = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), columns);
  const bool whole = failure == std::errc() && end == text.data() + text.size();
  return whole && columns > 0 ? std::clamp(columns, kNarrowest, kWidest) : kNoTerminal;
}

std::size_t columns_of(std::string_view text) noexcept {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;  // no byte inside of a character
  }));
}

std::string wrapped(std::string_view text, std::size_t width, std::size_t indent,
                    std::size_t taken) {
  width = std::max(width, kNarrowest);
  if (indent + kNarrowest > width) indent = 2;
  std::string out;
  for (bool more = true; more;) {
    const std::size_t end = text.find('\n');
    more = end != std::string_view::npos;
    wrap_line(text.substr(0, end), width, indent, taken, out);
    if (!more) break;
    out += '\n';
    text.remove_prefix(end + 1);
    taken = 0;
  }
  return out;
}

}  // namespace pajamas::cli
