// Measuring an importance matrix: a text through a model, layer by layer, and more text where
// experts have seen too little.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "io/imatrix.h"
#include "model/text_model.h"
#include "runtime/backend.h"
#include "runtime/engine.h"

namespace pajamas::calibrate {

// Rows that an expert should have seen: the mean square of a column is then known to about a tenth.
inline constexpr std::uint64_t kExpertFloor = 256;

struct CollectOptions {
  std::uint32_t context = 512;  // tokens of a chunk
  std::uint64_t chunks = 0;     // of the text; 0: all that it gives
  bool output_matrix = false;   // measure its input too
  std::uint64_t expert_floor = kExpertFloor;
  // Go on until every expert has seen its floor: with what is left of the text, then with text that
  // the model writes itself, at most `own_chunks` of it.
  bool balance = false;
  std::uint64_t own_chunks = 64;
  std::uint64_t seed = 0;  // of that text
  // Activations that wait between two layers are kept in memory up to here, and in a file without a
  // name in `scratch` beyond it.
  std::uint64_t activation_bytes = 0;
  std::filesystem::path scratch = ".";
  std::uint64_t session_bytes = 0;  // keys and values of one chunk in all layers; of own text
};

// What the experts of one layer have seen.
struct LayerCoverage {
  int layer = 0;
  std::uint64_t least = 0, median = 0, most = 0;
  std::vector<std::uint32_t> below;  // experts under the floor, in order
};

struct Collected {
  io::Imatrix matrix;                   // without datasets
  std::uint64_t own_chunks = 0;         // of matrix.chunks, those that the model wrote
  std::vector<LayerCoverage> coverage;  // of the layers with experts

  std::uint64_t experts_below() const noexcept;
};

// `tokens` may be empty where the model writes text. Throws Error{kUsage} where they are fewer than
// a chunk or beyond the vocabulary, kCorruptFile where the model computes what is not finite, what
// the engine and a scratch file throw, Error{kInterrupted}.
Collected collect(runtime::Engine& engine, const model::TextModel& text,
                  std::span<const std::int32_t> tokens, const CollectOptions& options,
                  Progress& progress, const StopFlag& stop);

// The same without a value: for its size.
io::Imatrix empty_matrix(const model::ModelConfig& config, bool output_matrix);

// Memory that collecting takes beside waiting activations: the program, the work on a batch, keys
// and values of one layer, sums, and the weights of two layers (or the embedding).
std::uint64_t fixed_bytes(const model::Checkpoint& checkpoint,
                          const runtime::EngineOptions& options);

}  // namespace pajamas::calibrate
