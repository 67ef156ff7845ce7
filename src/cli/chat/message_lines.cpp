#include "cli/chat/message_lines.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace pajamas::cli {
namespace {

constexpr std::string_view kQuotes = "\"\"\"";
constexpr std::string_view kBlockCommand = "/system ";  // whose argument may be a block

std::string_view without_end_spaces(std::string_view text) {
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

// Where the text of a block begins, or npos where `line` begins none.
std::size_t block_begin(std::string_view line) {
  const std::size_t at = line.starts_with(kBlockCommand) ? kBlockCommand.size() : 0;
  return line.substr(at).starts_with(kQuotes) ? at + kQuotes.size() : std::string_view::npos;
}

bool is_command(std::string_view line) {
  if (!line.starts_with('/')) return false;
  const std::string_view name = line.substr(1, line.find_first_of(" \t") - 1);
  return name == "?" || (!name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
           return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '!';
         }));
}

}  // namespace

bool MessageLines::push(std::string_view line) {
  const bool lines = line.find('\n') != std::string_view::npos;
  if (lines && part_ != Part::kBlock && block_begin(line) == std::string_view::npos) {
    message_.text += line;
    message_.entry += line;
    return true;
  }
  for (;;) {
    const std::size_t end = line.find('\n');
    if (end == std::string_view::npos) return push_line(line);
    if (push_line(line.substr(0, end))) {  // the block ends, its message does not
      message_.text += line.substr(end);
      message_.entry = message_.text;
      message_.command = false;
      return true;
    }
    line.remove_prefix(end + 1);
  }
}

bool MessageLines::push_line(std::string_view line) {
  if (part_ != Part::kNone) message_.entry += '\n';
  if (part_ == Part::kBlock) return add_to_block(line);
  if (part_ == Part::kNone) {
    if (const std::size_t at = block_begin(line); at != std::string_view::npos) {
      part_ = Part::kBlock;
      message_.command = line.front() == '/';
      if (message_.command) message_.text = kBlockCommand;
      message_.entry = line.substr(0, at);
      return !line.substr(at).empty() && add_to_block(line.substr(at));
    }
  }
  const bool continued = line.ends_with('\\') && !line.ends_with("\\\\");
  std::string_view text = line;
  if (line.ends_with('\\')) text.remove_suffix(1);
  if (part_ == Part::kNone && !continued) {
    message_.command = is_command(line);
    message_.text = message_.command ? line : text.substr(text.starts_with("//") ? 1 : 0);
    message_.entry = line;
    return true;
  }
  message_.text += text;
  message_.entry += text;
  if (continued) message_.text += '\n';
  part_ = Part::kContinued;
  return !continued;
}

bool MessageLines::add_to_block(std::string_view line) {
  message_.entry += line;
  const std::string_view text = without_end_spaces(line);
  if (!text.ends_with(kQuotes)) {
    message_.text += line;
    message_.text += '\n';
    return false;
  }
  message_.text += text.substr(0, text.size() - kQuotes.size());
  if (text.size() == kQuotes.size() && message_.text.ends_with('\n')) message_.text.pop_back();
  return true;
}

Message MessageLines::take() {
  part_ = Part::kNone;
  return std::exchange(message_, {});
}

}  // namespace pajamas::cli
