// One text that is continued: what is to run next, and what follows from what has run. It knows no
// engine; runtime/schedule.h runs it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/parallel.h"
#include "runtime/sampler.h"

namespace pajamas::runtime {

struct SequenceLimits {
  std::uint64_t max_tokens = 0;           // of the answer
  std::uint64_t context = 0;              // positions that prompt and answer may take together
  std::vector<std::int32_t> stop_tokens;  // sorted; none of them is handed out
};

enum class StopReason { kStopToken, kMaxTokens, kContextFull, kInterrupted };

// Throws Error{kUsage} for an empty prompt or one that does not fit the context.
void check_prompt(std::span<const std::int32_t> prompt, const SequenceLimits& limits);

class Sequence {
 public:
  // Of the prompt, the first `ran` tokens have run; at least one is left. Throws as check_prompt.
  Sequence(std::vector<std::int32_t> prompt, std::size_t ran, Sampler sampler,
           SequenceLimits limits);

  // The prompt and what was chosen behind it.
  std::span<const std::int32_t> tokens() const noexcept { return tokens_; }
  // How many of them have run: their keys and values are there.
  std::size_t ran() const noexcept { return ran_; }
  std::size_t prompt_left() const noexcept { return prompt_ - std::min(prompt_, ran_); }
  // Tokens that were chosen since the last call.
  std::span<const std::int32_t> take_news() noexcept;

  // What is to run next, at most `most` tokens: a piece of the prompt or the last token. Empty when
  // it is over.
  std::span<const std::int32_t> next(std::size_t most) const noexcept;
  // `count` tokens of `next` have run. Where none is left of the text, `logits` are those of the
  // last one, and the next is chosen or the sequence is over. Throws as Sampler::sample.
  void advance(std::size_t count, std::span<const float> logits);

  // For an engine that chooses the tokens of an answer (runtime/choice.h). How it is to choose the
  // token `later` tokens after the next one, which then has been drawn by a rule as well; nothing
  // where the sequence must see logits.
  std::optional<ChoiceRule> rule(std::size_t later) const noexcept { return sampler_.rule(later); }
  // The last token has run, and this was chosen by rule(0). Throws as Sampler::take.
  void advance_chosen(std::int32_t token);
  // Whether it is over when the last token has run, whatever is chosen then.
  bool ends_with_next() const noexcept;

  bool is_over() const noexcept { return reason() || error_; }
  // Why it is over; nothing while it is not, or where it failed.
  std::optional<StopReason> reason() const noexcept;
  // Over because of an error, which is kept for whoever waits.
  void fail(std::exception_ptr error) noexcept { error_ = std::move(error); }
  // Throws it, if there is one.
  void check() const;
  // From any thread: nothing of it runs any more once the batch that runs now is through.
  void cancel() noexcept { cancelled_.request(); }

 private:
  void choose(std::span<const float> logits);
  void go_on_with(std::int32_t token);

  std::vector<std::int32_t> tokens_;
  std::size_t prompt_;
  std::size_t ran_;
  std::size_t told_;
  Sampler sampler_;
  SequenceLimits limits_;
  std::optional<StopReason> reason_;
  std::exception_ptr error_;
  StopFlag cancelled_;
};

}  // namespace pajamas::runtime
