#include "runtime/generate.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/system.h"

namespace pajamas::runtime {
namespace {

// A session that is released whatever happens.
class ScopedSession {
 public:
  explicit ScopedSession(Engine& engine) : engine_(engine), id_(engine.create_session()) {}
  ScopedSession(const ScopedSession&) = delete;
  ScopedSession& operator=(const ScopedSession&) = delete;
  ~ScopedSession() { engine_.release(id_); }
  SessionId id() const noexcept { return id_; }

 private:
  Engine& engine_;
  SessionId id_;
};

// Runs tokens from `first` on, in batches; the logits are those of the last.
void run_prompt(Engine& engine, SessionId session, std::span<const std::int32_t> tokens,
                std::span<float> logits, const StopFlag& stop,
                const std::function<void(std::uint64_t)>& on_prompt) {
  std::vector<BatchRow> batch;
  for (std::size_t done = 0; done < tokens.size(); done += batch.size()) {
    batch.clear();
    const std::size_t end = std::min(tokens.size(), done + engine.max_batch());
    for (std::size_t i = done; i < end; ++i) {
      batch.push_back({session, static_cast<std::uint32_t>(i), tokens[i], i + 1 == tokens.size()});
    }
    forward(engine, batch, end == tokens.size() ? logits : std::span<float>(), stop);
    if (on_prompt) on_prompt(batch.size());
  }
}

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

// Generation proper: `logits` are those of the last position that has run.
void answer(Engine& engine, Sampler& sampler, SessionId session, const GenerateOptions& options,
            const StopFlag& stop, const std::function<void(std::int32_t)>& on_token,
            std::span<float> logits, GenerateResult& result) {
  const double start = seconds_now();
  while (result.generated_tokens < options.max_tokens) {
    const std::int32_t token = sampler.sample(logits);
    if (std::ranges::binary_search(options.stop_tokens, token)) {
      result.reason = StopReason::kStopToken;
      break;
    }
    sampler.accept(token);
    ++result.generated_tokens;
    on_token(token);
    result.generation_seconds = seconds_now() - start;
    if (result.generated_tokens == options.max_tokens) break;
    const std::uint32_t position = engine.length(session);
    if (position >= options.context) {
      result.reason = StopReason::kContextFull;
      break;
    }
    const BatchRow row{session, position, token, true};
    forward(engine, {&row, 1}, logits, stop);
  }
}

}  // namespace

double GenerateResult::prompt_tokens_per_second() const noexcept {
  return rate(prompt_tokens, prompt_seconds);
}

double GenerateResult::generation_tokens_per_second() const noexcept {
  return generated_tokens > 1 ? rate(generated_tokens - 1, generation_seconds) : 0;
}

GenerateResult generate(Engine& engine, Sampler& sampler, std::span<const std::int32_t> prompt,
                        const GenerateOptions& options, const StopFlag& stop,
                        const std::function<void(std::uint64_t)>& on_prompt,
                        const std::function<void(std::int32_t)>& on_token) {
  check_prompt(prompt, options);
  const ScopedSession session(engine);
  GenerateResult result;
  for (const std::int32_t token : prompt) sampler.accept(token);
  std::vector<float> logits(engine.config().vocab);
  const double start = seconds_now();
  try {
    run_prompt(engine, session.id(), prompt, logits, stop, on_prompt);
    result.prompt_tokens = prompt.size();
    result.prompt_seconds = seconds_now() - start;
    answer(engine, sampler, session.id(), options, stop, on_token, logits, result);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInterrupted) throw;
    result.reason = StopReason::kInterrupted;
  }
  return result;
}

}  // namespace pajamas::runtime
