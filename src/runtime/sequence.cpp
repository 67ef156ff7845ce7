#include "runtime/sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace pajamas::runtime {

void check_prompt(std::span<const std::int32_t> prompt, const SequenceLimits& limits) {
  if (prompt.empty()) {
    throw Error(ErrorCode::kUsage, "the prompt is empty", "give some text with --prompt");
  }
  if (prompt.size() > limits.context) {
    throw Error(ErrorCode::kUsage,
                fmt::format("the prompt has {} tokens and the context holds {}", prompt.size(),
                            limits.context),
                "use a larger --ctx or a shorter prompt");
  }
}

Sequence::Sequence(std::vector<std::int32_t> prompt, std::size_t ran, Sampler sampler,
                   SequenceLimits limits)
    : tokens_(std::move(prompt)),
      prompt_(tokens_.size()),
      ran_(ran),
      told_(tokens_.size()),
      sampler_(std::move(sampler)),
      limits_(std::move(limits)) {
  check_prompt(tokens_, limits_);
  PJ_CHECK(ran_ < prompt_);
  for (const std::int32_t token : tokens_) sampler_.accept(token);
}

std::span<const std::int32_t> Sequence::take_news() noexcept {
  const std::size_t from = std::exchange(told_, tokens_.size());
  return std::span<const std::int32_t>(tokens_).subspan(from);
}

std::span<const std::int32_t> Sequence::next(std::size_t most) const noexcept {
  if (is_over()) return {};
  return std::span<const std::int32_t>(tokens_).subspan(ran_,
                                                        std::min(most, tokens_.size() - ran_));
}

void Sequence::advance(std::size_t count, std::span<const float> logits) {
  ran_ += count;
  PJ_CHECK(ran_ <= tokens_.size());
  if (ran_ == tokens_.size() && !is_over()) choose(logits);
}

void Sequence::choose(std::span<const float> logits) {
  if (limits_.max_tokens == 0) {
    reason_ = StopReason::kMaxTokens;
    return;
  }
  go_on_with(sampler_.sample(logits));
}

void Sequence::advance_chosen(std::int32_t token) {
  ++ran_;
  PJ_CHECK(ran_ == tokens_.size());
  if (!is_over()) go_on_with(sampler_.take(token));
}

bool Sequence::ends_with_next() const noexcept {
  return tokens_.size() + 1 - prompt_ >= limits_.max_tokens || ran_ + 1 >= limits_.context;
}

void Sequence::go_on_with(std::int32_t token) {
  if (std::ranges::binary_search(limits_.stop_tokens, token)) {
    reason_ = StopReason::kStopToken;
    return;
  }
  sampler_.accept(token);
  tokens_.push_back(token);
  if (tokens_.size() - prompt_ == limits_.max_tokens) {
    reason_ = StopReason::kMaxTokens;
  } else if (ran_ >= limits_.context) {
    reason_ = StopReason::kContextFull;
  }
}

std::optional<StopReason> Sequence::reason() const noexcept {
  if (!reason_ && !error_ && cancelled_.requested()) return StopReason::kInterrupted;
  return reason_;
}

void Sequence::check() const {
  if (error_) std::rethrow_exception(error_);
}

}  // namespace pajamas::runtime
