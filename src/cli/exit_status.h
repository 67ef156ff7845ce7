// The table of exit statuses, and command-line mistakes as Errors.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "cli/command_line.h"

namespace pajamas::cli {

// What a kind of failure is called, exits with and suggests.
struct ErrorKind {
  ErrorCode code;
  int status;
  std::string_view name;  // "not_found", as --json has it
  std::string_view hint;  // where an error says nothing of what to do next
};
const ErrorKind& error_kind(ErrorCode code) noexcept;

// Its status, but interrupted as a shell reports the signal that did it: 129 SIGHUP, 130 SIGINT,
// 143 SIGTERM.
int exit_status(ErrorCode code) noexcept;

// For signal handlers: this signal has asked the program to end.
void note_ending_signal(int signal) noexcept;
// That signal; 0 while there is none.
int ending_signal() noexcept;

// Nobody reads standard output any more (`| head`). Ends the program: no mistake, and nothing to
// tell anybody.
class ReaderGone : public std::exception {
 public:
  const char* what() const noexcept override { return "nobody reads standard output any more"; }
};
inline constexpr int kReaderGoneStatus = 141;  // as a shell reports SIGPIPE

// A figure is beyond what --gate allows: no mistake either, but what the exit status is asked for.
class GateBroken : public std::exception {
 public:
  explicit GateBroken(std::string text) : text_(std::move(text)) {}
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};
inline constexpr int kGateStatus = 12;

// Where standard output has not taken what was written: which of the two it is.
bool reader_is_gone() noexcept;
Error output_error();

// The same error; where it says nothing of what to do next, with what its kind suggests.
Error with_hint(const Error& error);

// What CLI11 found wrong, in this program's form, with the nearest command where one was mistyped.
struct Misuse {
  enum class Kind { kMissing, kTooMany, kOther };  // of arguments
  Kind kind = Kind::kOther;
  std::string text;  // in its words
};
Error usage_error(const Command& app, const Misuse& misuse);

}  // namespace pajamas::cli
