// One pre-tokenizer pattern, compiled.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

namespace pajamas::text {

// Immutable; one object may be used by many threads at once.
class Pattern {
 public:
  // `pattern` in Oniguruma's syntax, as tokenizer.json writes it. Throws Error{kUnsupported} or
  // Error{kCorruptFile} where it cannot be compiled.
  explicit Pattern(std::string_view pattern);

  using Emit = std::function<void(std::string_view piece, bool matched)>;

  // Cuts valid UTF-8 into matches and what stands between them, in order, without empty pieces.
  // Work is bounded: throws Error{kUnsupported} where the pattern backtracks without end.
  void split(std::string_view text, const Emit& emit) const;

 private:
  struct Compiled;
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace pajamas::text
