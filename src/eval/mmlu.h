// MMLU: which of four letters a model gives the most probability.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "base/progress.h"
#include "eval/mmlu_data.h"
#include "model/text_model.h"
#include "runtime/engine.h"

namespace pajamas::eval {

// A question as tokens: what all of its subject's begin with, its own rest, and the continuations
// that are scored, each at least one token.
struct MmluPrompt {
  std::vector<std::int32_t> tokens;  // prefix and rest
  std::array<std::vector<std::int32_t>, 4> continuations;
};
struct MmluPrompts {
  std::vector<MmluPrompt> questions;
  std::size_t shared = 0;  // leading tokens that all of them have in common, less than any has

  std::size_t longest() const noexcept;  // with continuations
};

// The text of a prompt, up to "Answer:". With a chat template (`chat`): the same without "Answer:"
// as what the user says, rendered up to where the model answers, which begins with "Answer:".
std::string mmlu_text(const MmluSubject& subject, std::size_t question,
                      const model::TextModel& model, bool chat);

// What the text and text + " A" to " D" have as tokens. Throws as Tokenizer::encode and
// render_chat.
MmluPrompts mmlu_prompts(const MmluSubject& subject, const model::TextModel& model, bool chat);

struct MmluAnswer {
  std::array<double, 4> logprobs{};  // natural logarithms, over the whole vocabulary

  std::uint32_t choice() const noexcept;  // the likeliest; of equal ones the first
};

// Questions of a subject that run together.
inline constexpr std::size_t kMmluAtOnce = 8;
// Positions that the sessions of so many questions may hold beside the longest one, at most.
std::uint64_t mmlu_positions_beside(const runtime::Engine& engine, std::size_t at_once) noexcept;

// Asks the questions of one subject: the shared prefix runs once, and sessions forked from it run
// together, rests and continuations of up to `at_once` in a batch, as many rows as the engine
// takes. The figures are those of one question at a time, bit for bit, where the engine's do not
// depend on the batch. Calls `answered` for each in their order; those that `known` has are
// skipped. Throws Error{kInterrupted}, and Error{kCorruptFile} for logits that are not finite.
void ask_mmlu(runtime::Engine& engine, const MmluPrompts& prompts, std::size_t at_once,
              const std::function<bool(std::size_t)>& known,
              const std::function<void(std::size_t, const MmluAnswer&)>& answered,
              Progress& progress, const StopFlag& stop);

struct MmluFigures {
  std::uint64_t questions = 0;
  std::uint64_t right = 0;

  double accuracy() const noexcept;
  double error() const noexcept;                    // standard error
  std::array<double, 2> interval() const noexcept;  // Wilson's, 95 %
};

// The same questions answered by two models: McNemar's test.
struct MmluDifference {
  std::uint64_t only_model = 0;  // the model was right, the reference wrong
  std::uint64_t only_reference = 0;
  double accuracy = 0;  // the model's minus the reference's
  double error = 0;     // standard error of that
  double p = 1;         // exact, two-sided: such a difference by chance
};
MmluDifference mcnemar(std::uint64_t questions, std::uint64_t only_model,
                       std::uint64_t only_reference);

}  // namespace pajamas::eval
