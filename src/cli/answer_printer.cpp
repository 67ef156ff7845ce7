#include "cli/answer_printer.h"

#include <fmt/format.h>

#include <cstdio>

#include "base/error.h"
#include "cli/exit_status.h"
#include "cli/log.h"
#include "cli/terminal.h"

namespace pajamas::cli {

using text::AnswerPart;

void print_text(std::string_view text) {
  if (text.empty()) return;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    if (reader_is_gone()) throw ReaderGone();
    throw output_error();
  }
}

void AnswerPrinter::print(AnswerPart part, std::string_view bytes, const text::Answer& answer) {
  if (!begun_ || part != part_ || answer.calls.size() != calls_) change_to(part, answer);
  write(stream_.push(bytes));
}

void AnswerPrinter::finish() {
  write(stream_.finish());
  if (reasons()) end_reasoning("\n");
  print_text("\n");
}

void AnswerPrinter::change_to(AnswerPart part, const text::Answer& answer) {
  write(stream_.finish());
  if (begun_) {
    if (!reasons()) {
      print_text("\n");
    } else {
      end_reasoning("\n\n");
    }
  }
  begun_ = true;
  part_ = part;
  calls_ = answer.calls.size();
  if (part == AnswerPart::kReasoning && show_reasoning_) {
    show_reasoning("[reasoning]\n");
  } else if (part == AnswerPart::kToolCall) {
    log_info(paint("[call of " + printable(answer.calls.back().recipient) + "]", Colour::kDim));
  }
}

void AnswerPrinter::write(std::string_view text) {
  if (text.empty()) return;
  if (!reasons()) {
    print_text(text);
  } else if (show_reasoning_) {
    show_reasoning(text);
  }
}

void AnswerPrinter::show_reasoning(std::string_view text) {
  if (log_style().quiet) return;
  log_text(paint(text, Colour::kDim));
}

void AnswerPrinter::end_reasoning(std::string_view line_ends) {
  if (!show_reasoning_) return;
  if (!log_style().quiet) log_text(line_ends);
}

}  // namespace pajamas::cli
