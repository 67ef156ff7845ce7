// How well a model predicts a text, by llama.cpp's procedure, so that figures compare.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/parallel.h"
#include "base/progress.h"
#include "eval/layer_errors.h"
#include "eval/reference_file.h"
#include "eval/summary.h"
#include "model/checkpoint.h"
#include "runtime/engine.h"
#include "runtime/engine_options.h"

namespace pajamas::eval {

// How a text goes through models that are larger than memory: all of it through a layer before the
// next, so that their files are read once.
struct LayerByLayer {
  // What waits between two layers, of all models together, is kept in memory up to here, and in a
  // file without a name in `scratch` beyond it.
  std::uint64_t activation_bytes = 0;
  std::filesystem::path scratch = ".";
};

struct ScoreOptions {
  std::uint32_t context = 512;                      // tokens of a chunk
  std::uint64_t max_chunks = 0;                     // 0: all that the text gives
  std::optional<std::int32_t> bos = {};             // replaces the first token of every chunk
  std::optional<LayerByLayer> layer_by_layer = {};  // else one chunk after the other
};

// Receives logits of consecutive positions, [rows][vocab], chunk after chunk.
using LogitsSink = std::function<void(std::span<const float>)>;

// What a model is judged by, and what is kept of it. All may be absent.
struct ScoreAgainst {
  runtime::Engine* reference = nullptr;
  const ReferenceFile* kept = nullptr;  // instead of an engine; its context is that of the options
  ReferenceWriter* keep = nullptr;      // takes the reference's distributions, else the model's
  LogitsSink sink = {};
  LayerErrors* layers = nullptr;  // compares with a reference engine; layer by layer alone
};

// What a model reads from an empty cache, and which of it counts.
struct Passage {
  std::vector<std::int32_t> tokens;
  std::vector<bool> counts;  // of each token whether its prediction counts; the first has none
};

// `tokens` cut into chunks of `options.context`, and the tokens of each that score_text scores.
std::vector<Passage> cut_passages(std::span<const std::int32_t> tokens,
                                  const ScoreOptions& options);

// Chunks that `tokens` tokens give.
std::uint64_t chunks_of(std::uint64_t tokens, const ScoreOptions& options) noexcept;

// Cuts `tokens` into chunks of `context`, each run on its own, and scores the predictions made at
// positions context / 2 to context - 2. With a sink, the logits of every position are computed and
// handed over. Memory is a batch of logits, however long the text. Layer by layer, every figure is
// the same, bit for bit. Throws Error{kUsage} for fewer than 2 * context tokens (but those of a
// kept reference), Error{kCorruptFile} for a model whose logits are not finite,
// Error{kInterrupted}, and layer by layer what a scratch file throws.
Score score_text(runtime::Engine& model, const ScoreAgainst& against,
                 std::span<const std::int32_t> tokens, const ScoreOptions& options,
                 const TaskPool& pool, Progress& progress, const StopFlag& stop);

// Throws Error{kUsage} where nothing of the first `options.max_chunks` of them counts.
void check_passages(std::span<const Passage> passages, const ScoreOptions& options);

// The same of passages of any lengths, the first `options.max_chunks` of them: no bands, and
// nothing is kept or compared with what is. Throws as check_passages.
Score score_passages(runtime::Engine& model, const ScoreAgainst& against,
                     std::span<const Passage> passages, const ScoreOptions& options,
                     const TaskPool& pool, Progress& progress, const StopFlag& stop);

// Memory that scoring layer by layer takes of each model beside what waits and kProgramBytes.
std::uint64_t layer_by_layer_bytes(const model::Checkpoint& checkpoint,
                                   const runtime::EngineOptions& options);

}  // namespace pajamas::eval
