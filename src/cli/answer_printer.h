// Shows a turn while it is generated.
#pragma once

#include <string>
#include <string_view>

#include "runtime/utf8_stream.h"
#include "text/answer.h"

namespace pajamas::cli {

// The answer, or what a tool is called with, goes to standard output and nothing else does;
// reasoning and the names of called tools go to standard error, dimmed on a terminal. With --json
// nothing is shown: the answer is printed as an object when it is over.
class AnswerPrinter {
 public:
  explicit AnswerPrinter(bool show_reasoning) : show_reasoning_(show_reasoning) {}

  // `answer` is what came so far, this text included. Throws Error{kIo}.
  void print(text::AnswerPart part, std::string_view bytes, const text::Answer& answer);
  // Ends the last line.
  void finish();

 private:
  void change_to(text::AnswerPart part, const text::Answer& answer);
  void write(std::string_view text);
  void show_reasoning(std::string_view text);
  void end_reasoning(std::string_view line_ends);
  bool reasons() const { return begun_ && part_ == text::AnswerPart::kReasoning; }

  const bool show_reasoning_;
  bool begun_ = false;
  text::AnswerPart part_ = text::AnswerPart::kContent;
  std::size_t calls_ = 0;
  runtime::Utf8Stream stream_;
};

// To standard output, at once. Throws Error{kIo}.
void print_text(std::string_view text);

}  // namespace pajamas::cli
