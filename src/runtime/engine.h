// What runs a model: batches of tokens through layers, over sessions that remember.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/parallel.h"
#include "model/config.h"

namespace pajamas::runtime {

// A text in progress: the keys and values of the positions seen so far.
using SessionId = std::uint32_t;

// One token to run. The rows of one session are in order and continue it without gaps.
struct BatchRow {
  SessionId session = 0;
  std::uint32_t position = 0;
  std::int32_t token = 0;
  bool want_logits = false;
};
using Batch = std::span<const BatchRow>;

// The activations between layers, [rows][hidden], wherever the engine keeps them.
class Hidden {
 public:
  virtual ~Hidden() = default;
  virtual std::size_t rows() const noexcept = 0;
  // Copies row `row` to host memory; out.size() is the hidden size.
  virtual void read_row(std::size_t row, std::span<float> out) const = 0;
};

// The unit is one layer: a forward pass is a loop over `layer`, and so are scoring a model layer by
// layer, calibration, and splitting a model over devices. Not for use by several threads at once.
class Engine {
 public:
  virtual ~Engine() = default;

  virtual const model::ModelConfig& config() const noexcept = 0;
  virtual std::string_view backend() const noexcept = 0;
  // Rows that one batch may have.
  virtual std::size_t max_batch() const noexcept = 0;

  virtual SessionId create_session() = 0;
  // A session with the same past, which costs memory only where the two come to differ.
  virtual SessionId fork(SessionId session) = 0;
  // Forgets the positions from `length` on and returns the length that is left: `length`, or 0
  // where a model with sliding windows no longer has what the next token would see; run the text
  // again then. Truncating by a batch or less always works, and so does going back to a fork.
  virtual std::uint32_t truncate(SessionId session, std::uint32_t length) = 0;
  virtual void release(SessionId session) = 0;
  virtual std::uint32_t length(SessionId session) const = 0;

  // Begins a batch: checks the tokens, extends the sessions by its rows, and looks the embeddings
  // up. Every layer must then see the batch once, in order, with the same rows.
  // Throws Error{kUsage} for a token beyond the vocabulary, Error{kOutOfMemory}.
  virtual std::unique_ptr<Hidden> embed(Batch batch) = 0;
  virtual void layer(std::uint64_t index, Hidden& hidden, Batch batch) = 0;
  // Final norm and output matrix for the chosen rows; out.size() is rows.size() * vocab.
  virtual void logits(const Hidden& hidden, std::span<const std::size_t> rows,
                      std::span<float> out) = 0;
};

// Embeds and runs all layers. Throws Error{kInterrupted} between two of them once `stop` is set;
// truncate the sessions then.
std::unique_ptr<Hidden> run_layers(Engine& engine, Batch batch, const StopFlag& stop);

// A whole forward pass; logits of the rows that want them, one after the other.
void forward(Engine& engine, Batch batch, std::span<float> logits, const StopFlag& stop);

}  // namespace pajamas::runtime
