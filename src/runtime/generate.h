// Continues a text, token by token.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "runtime/engine.h"
#include "runtime/sampler.h"
#include "runtime/schedule.h"

namespace pajamas::runtime {

struct GenerateOptions {
  SequenceLimits limits;
  // Keeps the end of the prompt as a place to come back to, so that a model with sliding windows
  // need not run everything again where a long answer is taken back or changed. Costs memory.
  bool keep_prompt = false;
};

struct GenerateResult {
  StopReason reason = StopReason::kMaxTokens;
  std::uint64_t reused_tokens = 0;     // of the prompt: their keys and values were there
  std::uint64_t prompt_tokens = 0;     // of the prompt: the others, which have run
  std::uint64_t generated_tokens = 0;  // handed out
  double prompt_seconds = 0;           // until the first token was known
  double generation_seconds = 0;       // for the tokens after the first

  double prompt_tokens_per_second() const noexcept;
  double generation_tokens_per_second() const noexcept;  // of the tokens after the first; 0: none
};

// Told how many tokens of the prompt have run since the last call and how many are left to run;
// the first call comes before anything has.
using OnPrompt = std::function<void(std::uint64_t, std::uint64_t)>;
using OnToken = std::function<void(std::int32_t)>;

// A text that is continued, changed and continued again; of the keys and values of one time, those
// that still hold serve the next. Releases its sessions.
class TextSession {
 public:
  explicit TextSession(Engine& engine) : engine_(engine), live_(engine.create_session()) {}
  TextSession(const TextSession&) = delete;
  TextSession& operator=(const TextSession&) = delete;
  ~TextSession();

  // The text so far: the last prompt and what was generated behind it. The engine may not have run
  // the last of them yet.
  std::span<const std::int32_t> tokens() const noexcept { return tokens_; }
  // Forgets the text.
  void clear();

  // Runs what the text so far does not share with the beginning of `prompt`, and hands out one
  // token after the other. Once `stop` is set, ends with kInterrupted.
  // Throws Error{kUsage} for an empty prompt or one that does not fit the context, and what the
  // engine and the sampler throw; the session is of use afterwards.
  GenerateResult generate(Sampler sampler, std::span<const std::int32_t> prompt,
                          const GenerateOptions& options, const StopFlag& stop,
                          const OnPrompt& on_prompt, const OnToken& on_token);

 private:
  std::uint32_t go_back(std::span<const std::int32_t> prompt);
  void drop_mark();
  void advance(Sequence& sequence, Scheduler& scheduler, const GenerateOptions& options,
               const StopFlag& stop, const OnPrompt& on_prompt, const OnToken& on_token,
               GenerateResult& result);

  Engine& engine_;
  SessionId live_;
  std::optional<SessionId> mark_;  // as it was at the end of the last prompt
  std::vector<std::int32_t> tokens_;
};

// A text of its own: the whole of `prompt` runs.
GenerateResult generate(Engine& engine, Sampler sampler, std::span<const std::int32_t> prompt,
                        const GenerateOptions& options, const StopFlag& stop,
                        const OnPrompt& on_prompt, const OnToken& on_token);

}  // namespace pajamas::runtime
