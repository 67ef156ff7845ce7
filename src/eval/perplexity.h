// How well a model predicts a text, by llama.cpp's procedure, so that figures compare.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "base/parallel.h"
#include "base/progress.h"
#include "runtime/engine.h"

namespace pajamas::eval {

struct ScoreOptions {
  std::uint32_t context = 512;           // tokens of a chunk
  std::uint64_t max_chunks = 0;          // 0: all that the text gives
  std::optional<std::int32_t> bos = {};  // replaces the first token of every chunk
};

// Against a second model on the same positions.
struct Comparison {
  double reference_perplexity = 0;
  double loss_percent = 0;  // (perplexity / reference_perplexity - 1) * 100
  double kl_mean = 0;       // KL(reference || model), nats
  double kl_stderr = 0;
  double kl_p99 = 0;
  double top1 = 0;  // share of positions where both have the same likeliest token, 0 to 1
};

struct Score {
  double perplexity = 0;
  double perplexity_stderr = 0;
  std::uint64_t tokens = 0;  // positions that were scored
  std::uint64_t chunks = 0;
  std::optional<Comparison> comparison;
};

// Receives logits of consecutive positions, [rows][vocab], chunk after chunk.
using LogitsSink = std::function<void(std::span<const float>)>;

// Cuts `tokens` into chunks of `context`, each run on its own, and scores the predictions made at
// positions context / 2 to context - 2. `reference` may be null. With a `sink`, the logits of every
// position are computed and handed over. Memory is a batch of logits, however long the text.
// Throws Error{kUsage} for fewer than 2 * context tokens, Error{kCorruptFile} for a model whose
// logits are not finite, Error{kInterrupted}.
Score score_text(runtime::Engine& model, runtime::Engine* reference,
                 std::span<const std::int32_t> tokens, const ScoreOptions& options,
                 const TaskPool& pool, const LogitsSink& sink, Progress& progress,
                 const StopFlag& stop);

// The text compiled into the program: public-domain prose that no model here was fitted to.
std::string_view heldout_text() noexcept;

}  // namespace pajamas::eval
