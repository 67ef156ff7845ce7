// The one exception type of the project, and the kinds of failure a caller can tell apart.
#pragma once

#include <exception>
#include <string>
#include <string_view>

namespace pajamas {

// Each code has one exit status; `cli/` keeps that table.
enum class ErrorCode {
  kUsage,        // a flag or argument is wrong
  kNotFound,     // a file, tensor or key that must exist does not
  kCorruptFile,  // bytes contradict their format, or the model's own configuration
  kUnsupported,  // valid, but not something this program does
  kExists,       // an output would replace something
  kNoSpace,      // the disk (or quota) is full
  kIo,           // the operating system refused
  kOutOfMemory,  // more memory than there is
  kNetwork,      // a server cannot be reached, or refuses
  kInterrupted,  // the user stopped it
  kInternal,     // a bug of ours
  kCount,
};

// What went wrong, where, and what to do about it: one line, `WHAT (WHERE); TRY`.
class Error : public std::exception {
 public:
  // `hint` says what the user can do next; it may be empty.
  Error(ErrorCode code, std::string problem, std::string hint = {});

  // Puts `where` (a file, a tensor, a key) in front of what is known of the place already.
  Error& at(std::string_view where) &;
  Error&& at(std::string_view where) &&;

  ErrorCode code() const noexcept { return code_; }
  const std::string& problem() const noexcept { return problem_; }
  const std::string& place() const noexcept { return place_; }
  const std::string& hint() const noexcept { return hint_; }
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  void compose();

  ErrorCode code_;
  std::string problem_;
  std::string place_;
  std::string hint_;
  std::string text_;
};

// Runs `fn`; an Error that leaves it is told that it happened at `where`.
template <class Fn>
decltype(auto) with_context(std::string_view where, Fn&& fn) {
  try {
    return fn();
  } catch (Error& error) {
    error.at(where);
    throw;
  }
}

// Text of unknown origin made fit for one terminal line: control bytes and invalid UTF-8 are
// escaped, and what is longer than `limit` bytes is cut.
std::string printable(std::string_view text, std::size_t limit = 120);

namespace internal {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}

}  // namespace pajamas

// For conditions that only a bug can break. Always on; no input may reach one.
#define PJ_CHECK(condition)                                              \
  do {                                                                   \
    if (!(condition)) [[unlikely]]                                       \
      ::pajamas::internal::check_failed(#condition, __FILE__, __LINE__); \
  } while (false)
