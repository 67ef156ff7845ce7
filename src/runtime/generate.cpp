#include "runtime/generate.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/system.h"

namespace pajamas::runtime {
namespace {

double rate(std::uint64_t tokens, double seconds) noexcept {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

}  // namespace

double GenerateResult::prompt_tokens_per_second() const noexcept {
  return rate(prompt_tokens, prompt_seconds);
}

double GenerateResult::generation_tokens_per_second() const noexcept {
  return generated_tokens > 1 ? rate(generated_tokens - 1, generation_seconds) : 0;
}

TextSession::~TextSession() {
  drop_mark();
  engine_.release(live_);
}

void TextSession::clear() {
  drop_mark();
  engine_.truncate(live_, 0);
  tokens_.clear();
}

void TextSession::drop_mark() {
  if (mark_) engine_.release(*mark_);
  mark_.reset();
}

// Makes the live session end where it and `prompt` part, or before; returns its length.
std::uint32_t TextSession::go_back(std::span<const std::int32_t> prompt) {
  const std::size_t longest = std::min(tokens_.size(), prompt.size() - 1);  // one token has to run
  const auto common = static_cast<std::uint32_t>(
      std::mismatch(tokens_.begin(), tokens_.begin() + static_cast<std::ptrdiff_t>(longest),
                    prompt.begin())
          .first -
      tokens_.begin());
  std::uint32_t length = engine_.truncate(live_, std::min(common, engine_.length(live_)));
  if (mark_) {
    const std::uint32_t marked = std::min(common, engine_.length(*mark_));
    if (marked > length && (length = engine_.truncate(*mark_, marked)) > 0)
      std::swap(live_, *mark_);
    drop_mark();
  }
  return length;
}

// Steps until the sequence is over; `result` says at any time what was done.
void TextSession::advance(Sequence& sequence, Scheduler& scheduler, const GenerateOptions& options,
                          const StopFlag& stop, const OnPrompt& on_prompt, const OnToken& on_token,
                          GenerateResult& result) {
  double start = seconds_now();
  std::size_t left = sequence.prompt_left();
  const std::size_t prompt = left;
  if (on_prompt) on_prompt(0, left);
  while (!sequence.is_over()) {
    scheduler.step(stop);
    const double now = seconds_now();
    if (left > 0) {
      const std::size_t rows = left - sequence.prompt_left();
      left -= rows;
      if (on_prompt && rows > 0) on_prompt(rows, left);
      if (left == 0) {
        result.prompt_tokens = prompt;
        result.prompt_seconds = now - start;
        if (options.keep_prompt) mark_ = engine_.fork(live_);
        start = now;
      }
    }
    for (const std::int32_t token : sequence.take_news()) {
      ++result.generated_tokens;
      tokens_.push_back(token);
      on_token(token);
      result.generation_seconds = seconds_now() - start;
    }
  }
  sequence.check();
  result.reason = *sequence.reason();
}

GenerateResult TextSession::generate(Sampler sampler, std::span<const std::int32_t> prompt,
                                     const GenerateOptions& options, const StopFlag& stop,
                                     const OnPrompt& on_prompt, const OnToken& on_token) {
  check_prompt(prompt, options.limits);
  GenerateResult result;
  result.reused_tokens = go_back(prompt);
  tokens_.assign(prompt.begin(), prompt.end());
  Scheduler scheduler(engine_);
  Sequence& sequence =
      scheduler.at(scheduler.add({tokens_, std::move(sampler), options.limits, live_}));
  try {
    advance(sequence, scheduler, options, stop, on_prompt, on_token, result);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInterrupted) throw;
    result.reason = StopReason::kInterrupted;
  }
  return result;
}

GenerateResult generate(Engine& engine, Sampler sampler, std::span<const std::int32_t> prompt,
                        const GenerateOptions& options, const StopFlag& stop,
                        const OnPrompt& on_prompt, const OnToken& on_token) {
  TextSession session(engine);
  return session.generate(std::move(sampler), prompt, options, stop, on_prompt, on_token);
}

}  // namespace pajamas::runtime
