// How fast an engine is at given depths, by the method of llama-bench: a batch of prompt tokens
// over wall time, and one token at a time, each on top of so many tokens that are in the KV cache
// already.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/parallel.h"
#include "base/progress.h"
#include "base/system.h"
#include "bench/samples.h"
#include "runtime/backend.h"
#include "runtime/engine.h"
#include "runtime/owned_session.h"

namespace pajamas::bench {

struct SpeedQuestion {
  std::vector<std::uint64_t> contexts;    // tokens in the cache; ascending, each once
  std::uint64_t prompt_tokens = 512;      // processed on top of each of them; at least 1
  std::uint64_t generation_tokens = 128;  // generated on top of each of them; at least 1
  std::uint64_t repeats = 3;              // at least 1

  // Positions that a session must have room for.
  std::uint64_t positions() const noexcept;
  // That are run for warm_up and all rounds.
  std::uint64_t tokens() const noexcept;
};

// Throws Error{kUsage} for a context that the model was not made for, saying its longest, and
// Error{kOutOfMemory} for one that memory does not hold, saying how much does.
void require_room(const model::ModelConfig& config, const runtime::EngineOptions& options,
                  const SpeedQuestion& question);

// Of 512, 2048 and 8192 those for which `require_room` holds with everything else of `question`;
// where none does, half of what the model was made for.
std::vector<std::uint64_t> default_contexts(const model::ModelConfig& config,
                                            const runtime::EngineOptions& options,
                                            SpeedQuestion question);

// What was measured at one depth, in seconds: a sample a round. Of a round that was stopped some
// have one less than others.
struct DepthSamples {
  std::uint64_t context = 0;
  std::vector<double> first_token;   // of a prompt of `context` tokens; none of an empty one
  std::vector<double> prompt;        // of prompt_tokens
  std::vector<double> generation;    // of generation_tokens
  std::uint64_t cache_bytes = 0;     // keys and values of `context` tokens
  std::uint64_t resident_bytes = 0;  // of the process, the most seen after a sample
};

// The process between two pieces of work.
struct MemorySample {
  double seconds = 0;  // since the first piece began
  std::uint64_t resident_bytes = 0;
};

// Measures round by round, so that several engines can take turns.
class SpeedMeter {
 public:
  using Clock = std::function<double()>;  // seconds

  // `engine` and `progress`, which is told of each token, must outlive the meter.
  SpeedMeter(runtime::Engine& engine, SpeedQuestion question, Progress& progress,
             Clock clock = seconds_now);

  // Runs a prompt and a few tokens, untimed: files are read, threads have started.
  void warm_up(const StopFlag& stop);
  // Takes a sample of everything at every depth, from the lowest to the greatest. Throws
  // Error{kInterrupted}; what was measured until then counts.
  void round(const StopFlag& stop);

  const SpeedQuestion& question() const noexcept { return question_; }
  const std::vector<DepthSamples>& samples() const noexcept { return samples_; }
  // After the warm-up and after each piece that was timed; a few hundred of them at most, so that a
  // report of many rounds stays small.
  const std::vector<MemorySample>& memory() const noexcept { return memory_; }
  // Whether every round that was asked for has been measured.
  bool is_complete() const noexcept;

 private:
  double seconds_of(const std::function<void()>& work);
  void run(const runtime::OwnedSession& session, std::uint64_t count, std::uint64_t step,
           const StopFlag& stop);

  runtime::Engine& engine_;
  SpeedQuestion question_;
  Progress& progress_;
  Clock clock_;
  std::vector<DepthSamples> samples_;
  std::optional<double> began_;
  std::vector<MemorySample> memory_;
  std::vector<runtime::BatchRow> batch_;
  std::vector<float> logits_;
};

// The figures of one depth.
struct DepthResult {
  std::uint64_t context = 0;
  std::uint64_t repeats = 0;                           // of the figure that has the fewest
  std::optional<Spread> prompt_rate, generation_rate;  // tokens a second
  std::optional<Spread> first_token_seconds;
  std::uint64_t weight_bytes = 0;  // that a generated token reads
  std::uint64_t cache_bytes_read = 0;
  std::uint64_t cache_bytes = 0;  // that the keys and values take
  std::uint64_t resident_bytes = 0;

  std::uint64_t bytes_per_token() const noexcept { return weight_bytes + cache_bytes_read; }
  // Of what memory gives a second (0: not known), what generation read.
  std::optional<double> bandwidth_share(double bytes_per_second) const noexcept;
};

// Of depths with any sample. `weight_bytes`: what a token reads of the weights.
std::vector<DepthResult> results_of(const SpeedMeter& meter, const model::ModelConfig& config,
                                    const runtime::EngineOptions& options,
                                    std::uint64_t weight_bytes);

}  // namespace pajamas::bench
