#include "cli/answer_printer.h"

#include <fmt/format.h>

#include <cstdio>

#include "base/error.h"
#include "cli/terminal.h"

namespace pajamas::cli {

using text::AnswerPart;

void print_text(std::string_view text) {
  if (text.empty()) return;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw Error(ErrorCode::kIo, "cannot write to standard output");
  }
}

void AnswerPrinter::print(AnswerPart part, std::string_view bytes, const text::Answer& answer) {
  if (!begun_ || part != part_ || answer.calls.size() != calls_) change_to(part, answer);
  write(stream_.push(bytes));
}

void AnswerPrinter::finish() {
  write(stream_.finish());
  if (reasons() && show_reasoning_) fmt::print(stderr, "\n");
  print_text("\n");
}

void AnswerPrinter::change_to(AnswerPart part, const text::Answer& answer) {
  write(stream_.finish());
  if (begun_) {
    if (!reasons()) {
      print_text("\n");
    } else if (show_reasoning_) {
      fmt::print(stderr, "\n\n");
    }
  }
  begun_ = true;
  part_ = part;
  calls_ = answer.calls.size();
  if (part == AnswerPart::kReasoning && show_reasoning_) {
    fmt::print(stderr, "{}\n", paint("[reasoning]", Colour::kDim));
  } else if (part == AnswerPart::kToolCall) {
    fmt::print(stderr, "{}\n",
               paint("[call of " + printable(answer.calls.back().recipient) + "]", Colour::kDim));
  }
}

void AnswerPrinter::write(std::string_view text) {
  if (text.empty()) return;
  if (!reasons()) {
    print_text(text);
  } else if (show_reasoning_) {
    fmt::print(stderr, "{}", paint(text, Colour::kDim));
    (void)std::fflush(stderr);
  }
}

}  // namespace pajamas::cli
