// One pre-tokenizer pattern, compiled.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace pajamas::text {

// How long the patterns may work on one text, however many pieces they cut it into. No pattern in
// use needs 1% of it; it ends those that backtrack without end a little at a time.
class PatternBudget {
 public:
  explicit PatternBudget(std::size_t text_bytes);

  // Counts one attempt to match. Throws Error{kUnsupported} when the time is over.
  void spend();

 private:
  std::chrono::steady_clock::time_point deadline_;
  std::uint32_t attempts_ = 0;
};

// Immutable; one object may be used by many threads at once.
class Pattern {
 public:
  // `pattern` in Oniguruma's syntax, as tokenizer.json writes it. Throws Error{kUnsupported} or
  // Error{kCorruptFile} where it cannot be compiled.
  explicit Pattern(std::string_view pattern);

  using Emit = std::function<void(std::string_view piece, bool matched)>;

  // Cuts valid UTF-8 into matches and what stands between them, in order, without empty pieces.
  // Work is bounded: throws Error{kUnsupported} where the pattern backtracks without end.
  void split(std::string_view text, PatternBudget& budget, const Emit& emit) const;
  void split(std::string_view text, const Emit& emit) const;

 private:
  struct Compiled;
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace pajamas::text
