#include "bench/speed.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/readable.h"
#include "base/splitmix.h"
#include "bench/bytes_read.h"

namespace pajamas::bench {
namespace {

constexpr std::uint64_t kWarmUpGenerated = 4;
constexpr std::size_t kMostMemorySamples = 256;
constexpr std::array<std::uint64_t, 3> kUsualContexts{512, 2048, 8192};

// A token for a position, the same in every run: spread over the vocabulary, so that experts are
// chosen as variously as by a text.
std::int32_t token_at(std::uint64_t position, std::uint64_t vocab) noexcept {
  return static_cast<std::int32_t>(split_mix((position + 1) * kSplitMixStep) % vocab);
}

}  // namespace

std::uint64_t SpeedQuestion::positions() const noexcept {
  return contexts.back() + std::max(prompt_tokens, generation_tokens);
}

std::uint64_t SpeedQuestion::tokens() const noexcept {
  const std::uint64_t round =
      contexts.back() + contexts.size() * (prompt_tokens + generation_tokens);
  return prompt_tokens + kWarmUpGenerated + repeats * round;
}

void require_room(const model::ModelConfig& config, const runtime::EngineOptions& options,
                  const SpeedQuestion& question) {
  const std::uint64_t longest = question.contexts.back();
  if (longest > config.context_length) {
    throw Error(ErrorCode::kUsage,
                fmt::format("a context of {} is more than the {} positions of this model",
                            with_thousands(longest), with_thousands(config.context_length)),
                fmt::format("give at most {}", config.context_length));
  }
  const std::uint64_t limit = runtime::memory_limit(options);
  const std::uint64_t needed = runtime::memory_needs(config, options, question.positions()).total();
  if (needed <= limit) return;
  const std::uint64_t on_top = question.positions() - longest;
  const std::uint64_t fits = runtime::longest_context(config, options, limit);
  throw Error(
      ErrorCode::kOutOfMemory,
      fmt::format("a context of {} and {} tokens more take {} of memory and there are {}",
                  with_thousands(longest), on_top, readable_bytes(needed), readable_bytes(limit)),
      fits > on_top ? fmt::format("a context of {} fits, or a smaller --kv-cache",
                                  with_thousands(fits - on_top))
                    : "no context fits: try a smaller --kv-cache, or fewer tokens");
}

std::vector<std::uint64_t> default_contexts(const model::ModelConfig& config,
                                            const runtime::EngineOptions& options,
                                            SpeedQuestion question) {
  std::vector<std::uint64_t> fitting;
  for (const std::uint64_t context : kUsualContexts) {
    question.contexts = {context};
    try {
      require_room(config, options, question);
      fitting.push_back(context);
    } catch (const Error&) {
      break;
    }
  }
  if (fitting.empty()) fitting.push_back(config.context_length / 2);
  return fitting;
}

SpeedMeter::SpeedMeter(runtime::Engine& engine, SpeedQuestion question, Progress& progress,
                       Clock clock)
    : engine_(engine),
      question_(std::move(question)),
      progress_(progress),
      clock_(std::move(clock)),
      logits_(engine.config().vocab) {
  for (const std::uint64_t context : question_.contexts) {
    samples_.emplace_back().context = context;
  }
}

double SpeedMeter::seconds_of(const std::function<void()>& work) {
  const double began = clock_();
  if (!began_) began_ = began;
  work();
  const double ended = clock_();
  if (memory_.size() == kMostMemorySamples) {  // half of them tell the same
    for (std::size_t i = 1; 2 * i < memory_.size(); ++i) memory_[i] = memory_[2 * i];
    memory_.resize(kMostMemorySamples / 2);
  }
  memory_.push_back({ended - *began_, resident_bytes()});
  return ended - began;
}

// `count` tokens, `step` at a time; logits of the last one of the prompt, or of each generated one.
void SpeedMeter::run(const runtime::OwnedSession& session, std::uint64_t count, std::uint64_t step,
                     const StopFlag& stop) {
  step = std::min<std::uint64_t>(step, engine_.max_batch());
  std::uint64_t position = engine_.length(session.id());
  for (std::uint64_t done = 0; done < count;) {
    const std::uint64_t now = std::min(step, count - done);
    batch_.clear();
    for (std::uint64_t i = 0; i < now; ++i, ++position) {
      batch_.push_back({session.id(), static_cast<std::uint32_t>(position),
                        token_at(position, engine_.config().vocab), false});
    }
    done += now;
    batch_.back().want_logits = step == 1 || done == count;
    runtime::forward(engine_, batch_,
                     std::span(logits_).first(batch_.back().want_logits ? logits_.size() : 0),
                     stop);
    progress_.advance(now);
  }
}

void SpeedMeter::warm_up(const StopFlag& stop) {
  const runtime::OwnedSession session(engine_, engine_.create_session());
  seconds_of([&] {
    run(session, question_.prompt_tokens, engine_.max_batch(), stop);
    run(session, kWarmUpGenerated, 1, stop);
  });
}

void SpeedMeter::round(const StopFlag& stop) {
  const runtime::OwnedSession session(engine_, engine_.create_session());
  std::uint64_t depth = 0;
  double filling = 0;  // from an empty cache to `depth`
  for (DepthSamples& at : samples_) {
    if (at.context > depth) {
      filling += seconds_of([&] { run(session, at.context - depth, engine_.max_batch(), stop); });
      depth = at.context;
      at.first_token.push_back(filling);
    }
    at.cache_bytes = engine_.bytes(session.id());
    // Forks, so that every sample begins at the same depth with the same past.
    {
      const runtime::OwnedSession fork(engine_, engine_.fork(session.id()));
      at.prompt.push_back(
          seconds_of([&] { run(fork, question_.prompt_tokens, engine_.max_batch(), stop); }));
    }
    at.resident_bytes = std::max(at.resident_bytes, memory_.back().resident_bytes);
    {
      const runtime::OwnedSession fork(engine_, engine_.fork(session.id()));
      at.generation.push_back(seconds_of([&] { run(fork, question_.generation_tokens, 1, stop); }));
    }
    at.resident_bytes = std::max(at.resident_bytes, memory_.back().resident_bytes);
  }
}

bool SpeedMeter::is_complete() const noexcept {
  return std::ranges::all_of(
      samples_, [&](const DepthSamples& at) { return at.generation.size() >= question_.repeats; });
}

std::optional<double> DepthResult::bandwidth_share(double bytes_per_second) const noexcept {
  if (bytes_per_second <= 0 || !generation_rate) return std::nullopt;
  return generation_rate->median * static_cast<double>(bytes_per_token()) / bytes_per_second;
}

std::vector<DepthResult> results_of(const SpeedMeter& meter, const model::ModelConfig& config,
                                    const runtime::EngineOptions& options,
                                    std::uint64_t weight_bytes) {
  std::vector<DepthResult> results;
  const SpeedQuestion& question = meter.question();
  for (const DepthSamples& at : meter.samples()) {
    if (at.prompt.empty() && at.first_token.empty()) continue;
    DepthResult& result = results.emplace_back();
    result.context = at.context;
    result.repeats = at.generation.size();
    if (!at.prompt.empty()) {
      result.prompt_rate = rates_of(static_cast<double>(question.prompt_tokens), at.prompt);
    }
    if (!at.generation.empty()) {
      result.generation_rate =
          rates_of(static_cast<double>(question.generation_tokens), at.generation);
    }
    if (!at.first_token.empty()) result.first_token_seconds = spread_of(at.first_token);
    result.weight_bytes = weight_bytes;
    result.cache_bytes_read = cache_bytes_per_token(config, options, at.context);
    result.cache_bytes = at.cache_bytes;
    result.resident_bytes = at.resident_bytes;
  }
  return results;
}

}  // namespace pajamas::bench
