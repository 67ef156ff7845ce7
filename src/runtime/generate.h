// Continues a text, token by token.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "runtime/engine.h"
#include "runtime/sampler.h"

namespace pajamas::runtime {

struct GenerateOptions {
  std::uint64_t max_tokens = 0;
  std::uint64_t context = 0;              // positions that prompt and answer may take together
  std::vector<std::int32_t> stop_tokens;  // sorted; none of them is handed out
};

enum class StopReason { kStopToken, kMaxTokens, kContextFull, kInterrupted };

struct GenerateResult {
  StopReason reason = StopReason::kMaxTokens;
  std::uint64_t prompt_tokens = 0;
  std::uint64_t generated_tokens = 0;  // handed out
  double prompt_seconds = 0;           // until the first token was known
  double generation_seconds = 0;       // for the tokens after the first

  double prompt_tokens_per_second() const noexcept;
  double generation_tokens_per_second() const noexcept;  // of the tokens after the first; 0: none
};

// Runs the prompt in a session of its own and hands out one token after the other. `on_prompt` is
// told how many prompt tokens are done. Once `stop` is set, ends with kInterrupted.
// Throws Error{kUsage} for an empty prompt or one that does not fit the context.
GenerateResult generate(Engine& engine, Sampler& sampler, std::span<const std::int32_t> prompt,
                        const GenerateOptions& options, const StopFlag& stop,
                        const std::function<void(std::uint64_t)>& on_prompt,
                        const std::function<void(std::int32_t)>& on_token);

}  // namespace pajamas::runtime
