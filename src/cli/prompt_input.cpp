#include "cli/prompt_input.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "text/utf8.h"

namespace pajamas::cli {
namespace {

constexpr std::string_view kStandardInput = "-";
constexpr std::string_view kBetween = "\n\n";

void drop_line_end(std::string& text) {
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
}

void append(std::string& prompt, std::string_view text) {
  if (!prompt.empty() && !text.empty()) prompt += kBetween;
  prompt += text;
}

// Texts come by pipes, files and sockets. A device (a terminal, /dev/null) has none.
bool may_bring_text() {
  struct stat status {};
  if (::fstat(STDIN_FILENO, &status) != 0) return false;
  return S_ISFIFO(status.st_mode) || S_ISREG(status.st_mode) || S_ISSOCK(status.st_mode);
}

}  // namespace

bool has_prompt(const PromptOptions& options) noexcept {
  return options.text || options.positional || !options.file.empty();
}

std::optional<std::string> given_prompt(const PromptOptions& options, const StopFlag& stop) {
  if (options.text && options.positional) {
    throw Error(ErrorCode::kUsage, "two prompts are given",
                "give one, as --prompt or behind MODEL; a text of several words is quoted")
        .at(printable(*options.positional, 60));
  }
  if (!has_prompt(options)) return std::nullopt;
  std::string prompt = options.text.value_or(options.positional.value_or(""));
  if (!options.file.empty()) {
    std::string text = read_text_input(options.file, stop);
    drop_line_end(text);
    text::require_utf8(text, printable(options.file, 200));
    append(prompt, text);
  }
  return prompt;
}

std::string whole_prompt(const PromptOptions& options, Progress& progress, const StopFlag& stop) {
  const std::optional<std::string> given = given_prompt(options, stop);
  std::string prompt = given.value_or("");
  if (options.file != kStandardInput && (!given || may_bring_text())) {
    const auto tell = [&] {
      // Where nothing else is asked for, waiting needs no words.
      if (!given) return;
      progress.note(
          "waiting for standard input, which is added to the prompt; </dev/null says that there is "
          "none");
    };
    std::string text = read_text_input(kStandardInput, stop, kMaxTextBytes, tell);
    drop_line_end(text);
    append(prompt, text);
  }
  if (prompt.empty()) {
    throw Error(ErrorCode::kUsage, "the prompt is empty",
                "give some text behind MODEL, with --prompt or on standard input");
  }
  text::require_utf8(prompt, "the prompt");
  return prompt;
}

}  // namespace pajamas::cli
