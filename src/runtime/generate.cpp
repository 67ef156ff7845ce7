#include "runtime/generate.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/system.h"

namespace pajamas::runtime {
namespace {

double rate(std::uint64_t tokens, double seconds) noexcept {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

void check_prompt(std::span<const std::int32_t> prompt, const GenerateOptions& options) {
  if (prompt.empty()) {
    throw Error(ErrorCode::kUsage, "the prompt is empty", "give some text with --prompt");
  }
  if (prompt.size() > options.context) {
    throw Error(ErrorCode::kUsage,
                fmt::format("the prompt has {} tokens and the context holds {}", prompt.size(),
                            options.context),
                "use a larger --ctx or a shorter prompt");
  }
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

// One batch at the end of the live session, which is as before where that fails.
void TextSession::run(std::span<const BatchRow> rows, std::span<float> logits,
                      const StopFlag& stop) {
  try {
    forward(engine_, rows, logits, stop);
  } catch (...) {
    engine_.truncate(live_, std::min(rows.front().position, engine_.length(live_)));
    throw;
  }
}

// In batches; the logits are those of the last token.
void TextSession::run_prompt(std::span<float> logits, const StopFlag& stop,
                             const OnPrompt& on_prompt) {
  std::vector<BatchRow> batch;
  if (on_prompt) on_prompt(0, tokens_.size() - engine_.length(live_));
  for (std::size_t done = engine_.length(live_); done < tokens_.size(); done += batch.size()) {
    batch.clear();
    const std::size_t end = std::min(tokens_.size(), done + engine_.max_batch());
    for (std::size_t i = done; i < end; ++i) {
      batch.push_back({live_, static_cast<std::uint32_t>(i), tokens_[i], i + 1 == tokens_.size()});
    }
    run(batch, end == tokens_.size() ? logits : std::span<float>(), stop);
    if (on_prompt) on_prompt(batch.size(), tokens_.size() - end);
  }
}

// Generation proper: `logits` are those of the last position that has run.
void TextSession::answer(Sampler& sampler, const GenerateOptions& options, const StopFlag& stop,
                         const OnToken& on_token, std::span<float> logits, GenerateResult& result) {
  const double start = seconds_now();
  while (result.generated_tokens < options.max_tokens) {
    const std::int32_t token = sampler.sample(logits);
    if (std::ranges::binary_search(options.stop_tokens, token)) {
      result.reason = StopReason::kStopToken;
      break;
    }
    sampler.accept(token);
    ++result.generated_tokens;
    tokens_.push_back(token);
    on_token(token);
    result.generation_seconds = seconds_now() - start;
    if (result.generated_tokens == options.max_tokens) break;
    const std::uint32_t position = engine_.length(live_);
    if (position >= options.context) {
      result.reason = StopReason::kContextFull;
      break;
    }
    const BatchRow row{live_, position, token, true};
    run({&row, 1}, logits, stop);
  }
}

GenerateResult TextSession::generate(Sampler& sampler, std::span<const std::int32_t> prompt,
                                     const GenerateOptions& options, const StopFlag& stop,
                                     const OnPrompt& on_prompt, const OnToken& on_token) {
  check_prompt(prompt, options);
  GenerateResult result;
  for (const std::int32_t token : prompt) sampler.accept(token);
  std::vector<float> logits(engine_.config().vocab);
  const double start = seconds_now();
  result.reused_tokens = go_back(prompt);
  tokens_.assign(prompt.begin(), prompt.end());
  try {
    run_prompt(logits, stop, on_prompt);
    result.prompt_tokens = prompt.size() - result.reused_tokens;
    result.prompt_seconds = seconds_now() - start;
    if (options.keep_prompt) mark_ = engine_.fork(live_);
    answer(sampler, options, stop, on_token, logits, result);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInterrupted) throw;
    result.reason = StopReason::kInterrupted;
  }
  return result;
}

GenerateResult generate(Engine& engine, Sampler& sampler, std::span<const std::int32_t> prompt,
                        const GenerateOptions& options, const StopFlag& stop,
                        const OnPrompt& on_prompt, const OnToken& on_token) {
  TextSession session(engine);
  return session.generate(sampler, prompt, options, stop, on_prompt, on_token);
}

}  // namespace pajamas::runtime
