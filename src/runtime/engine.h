// What runs a model: batches of tokens through layers, over sessions that remember.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "base/parallel.h"
#include "model/config.h"
#include "runtime/choice.h"
#include "runtime/tap.h"

namespace pajamas::runtime {

// A text in progress: the keys and values, in each layer, of the positions that it has seen.
using SessionId = std::uint32_t;

// One token to run. The rows of one session are in order and continue it without gaps.
struct BatchRow {
  SessionId session = 0;
  std::uint32_t position = 0;
  std::int32_t token = 0;
  bool want_logits = false;
};
using Batch = std::span<const BatchRow>;

// The activations between layers, [rows][hidden], wherever the engine keeps them. Of use to the
// engine that made them alone, and while it lives; another one takes them as numbers
// (Engine::restore).
class Hidden {
 public:
  virtual ~Hidden() = default;
  virtual std::size_t rows() const noexcept = 0;
  virtual std::size_t width() const noexcept = 0;  // the hidden size
  // Copies row `row` to host memory; out.size() is width().
  virtual void read_row(std::size_t row, std::span<float> out) const = 0;

 protected:
  friend struct ReleaseHidden;
  // Nobody holds them any more: an engine may keep the memory for its next batch.
  virtual void release() noexcept { delete this; }
};
struct ReleaseHidden {
  void operator()(Hidden* hidden) const noexcept { hidden->release(); }
};
using HiddenPtr = std::unique_ptr<Hidden, ReleaseHidden>;

// The unit is one layer: a forward pass is a loop over `layer`, and so are scoring a model layer by
// layer, calibration (runtime/layer_major.h), and splitting a model over devices. What a batch
// changes it changes in the layer that runs, so that any number of batches, of one session too, may
// be on their way through the layers. Not for use by several threads at once.
class Engine {
 public:
  virtual ~Engine() = default;

  // Positions that a scheduler may have run of a session too many (runtime/schedule.h).
  static constexpr std::uint32_t kMostAhead = 2;
  // What `expect` and `leave` take beside a layer's index: what `embed` looks tokens up in, and
  // what `logits` multiplies with (in tied models the same matrix).
  static constexpr std::uint64_t kEmbedding = UINT64_MAX - 1;
  static constexpr std::uint64_t kOutput = UINT64_MAX;

  virtual const model::ModelConfig& config() const noexcept = 0;
  virtual std::string_view backend() const noexcept = 0;
  // Rows that one batch may have.
  virtual std::size_t max_batch() const noexcept = 0;
  // The most memory that was taken at a time, by the counter of the library that the backend runs
  // on; nothing: it has none, and what the system says of the process is all.
  virtual std::optional<std::uint64_t> library_peak_bytes() const noexcept { return std::nullopt; }

  // Keys and values grow by so many positions at a time; a fork that goes on copies the last of
  // them.
  virtual std::uint32_t block_positions() const noexcept { return 1; }

  virtual SessionId create_session() = 0;
  // A session with the same past, which costs memory only where the two come to differ.
  virtual SessionId fork(SessionId session) = 0;
  // Forgets the positions from `length` on and returns the length that is left: `length`, or 0
  // where a model with sliding windows no longer has what the next token would see; run the text
  // again then. Truncating by a batch and kMostAhead positions, or less, always works, and so does
  // going back to a fork.
  virtual std::uint32_t truncate(SessionId session, std::uint32_t length) = 0;
  virtual void release(SessionId session) = 0;
  // Positions that the last layer has seen: all layers, where no batch is on its way.
  virtual std::uint32_t length(SessionId session) const = 0;
  // Gives the memory of one layer's keys and values back; that layer begins at position 0 again.
  virtual void forget(SessionId session, std::uint64_t layer) = 0;
  // Bytes of keys and values that a session holds now, those that it shares with forks included.
  virtual std::uint64_t bytes(SessionId session) const = 0;

  // Begins a batch: checks the tokens and looks the embeddings up. Changes nothing; the rows'
  // sessions are not looked at. Every layer must then see the batch once, in order, with the same
  // rows. Throws Error{kUsage} for a token beyond the vocabulary.
  virtual HiddenPtr embed(Batch batch) = 0;
  // The same with activations that came out of a layer, of this engine or of another one:
  // [rows][hidden]. The batch goes on with the layer after that one.
  virtual HiddenPtr restore(Batch batch, std::span<const float> rows) = 0;
  // Runs one layer and extends its part of the sessions, for which the rows must come next. Where
  // that fails, the sessions are as before and `hidden` is spoiled. `tap` sees what enters
  // products. Throws Error{kUsage} for activations of another engine, Error{kOutOfMemory}.
  virtual void layer(std::uint64_t index, Hidden& hidden, Batch batch,
                     LinearTap* tap = nullptr) = 0;
  // The last layer for whoever wants logits and nothing else: extends its part of the sessions by
  // all rows, and returns what comes out for the rows that want logits, in their order, the same
  // bits as from `layer`; null where none does. Errors as there.
  virtual HiddenPtr last_layer(HiddenPtr hidden, Batch batch) = 0;
  // For whoever runs many batches through one layer before the next: the weights of a layer, of
  // kEmbedding or of kOutput are about to be needed, and they have done their work for now. Hints:
  // memory and disk are used with more sense, and nothing else changes.
  virtual void expect(std::uint64_t index) noexcept { (void)index; }
  virtual void leave(std::uint64_t index) noexcept { (void)index; }
  // Final norm and output matrix for the chosen rows; out.size() is rows.size() * vocab.
  virtual void logits(const Hidden& hidden, std::span<const std::size_t> rows, std::span<float> out,
                      LinearTap* tap = nullptr) = 0;

  // Whether it has the two that follow; nobody calls them elsewhere.
  virtual bool chooses() const noexcept { return false; }
  // In place of `logits`: chooses a token for each row of `hidden`, by the rule of its place, and
  // need not wait for it, nor for what else is on its way. Where it does not wait, the batch may
  // still fail when they are read; truncate the sessions to where it began then.
  virtual ChosenPtr choose(const Hidden& hidden, std::span<const ChoiceRule> rules);
  // In place of `embed`: BatchRow::token says which of `from` a row's token is. Where that one is
  // no token, the row computes something, which is of no use.
  virtual HiddenPtr embed_chosen(Batch batch, const Chosen& from);
};

// Embeds and runs all layers. Throws Error{kInterrupted} between two of them once `stop` is set;
// truncate the sessions to where the batch began then, whatever length() says.
HiddenPtr run_layers(Engine& engine, Batch batch, const StopFlag& stop);

// What comes out of the last layer for the rows that want logits, in their order, the same bits as
// from run_layers; null where none does. Of that layer the other rows run only what extends their
// sessions. Throws as run_layers.
HiddenPtr run_wanted(Engine& engine, Batch batch, const StopFlag& stop);

// The same up to the choice of the tokens that follow, for an engine that chooses: every row wants
// one, and there is a rule for each. With `from`, the batch's tokens are of those (embed_chosen).
ChosenPtr forward_chosen(Engine& engine, Batch batch, const Chosen* from,
                         std::span<const ChoiceRule> rules, const StopFlag& stop);

// A whole forward pass; logits of the rows that want them, one after the other.
void forward(Engine& engine, Batch batch, std::span<float> logits, const StopFlag& stop);

}  // namespace pajamas::runtime
