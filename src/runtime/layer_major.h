// A whole text through one layer before anything goes through the next: of the weights, and of the
// keys and values, only those of one layer are needed at a time. For calibration, and for models
// that are larger than memory. What comes out is what `forward` computes, bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/parallel.h"
#include "base/progress.h"
#include "base/unnamed_file.h"
#include "model/checkpoint.h"
#include "runtime/engine.h"
#include "runtime/engine_options.h"

namespace pajamas::runtime {

// The activations of batches between two layers: in memory as far as a budget reaches, in a file
// without a name beyond it. Every batch keeps its place, so that a pass overwrites what it has
// read.
class ActivationStore {
 public:
  // Up to `memory_budget` bytes are kept in memory. The file, should it be needed, is made in
  // `folder`, and no sooner.
  ActivationStore(std::uint64_t memory_budget, std::filesystem::path folder)
      : budget_(memory_budget), folder_(std::move(folder)) {}

  // Keeps the rows under a number, in place of what was there; they have the size of those, where
  // there were any. Throws what UnnamedFile throws.
  void put(std::size_t batch, const Hidden& hidden);
  // Hands them to an engine. `rows` is the batch, with the engine's sessions.
  HiddenPtr get(std::size_t batch, Engine& engine, Batch rows);
  // The same as numbers, [rows][hidden]; valid until the next call of any kind.
  std::span<const float> read(std::size_t batch);

  std::uint64_t memory_bytes() const noexcept { return memory_bytes_; }
  std::uint64_t file_bytes() const noexcept { return file_bytes_; }

 private:
  struct Place {
    std::size_t floats = 0;
    std::vector<float> memory;  // empty: in the file
    std::uint64_t offset = 0;
  };
  Place& place(std::size_t batch, std::size_t floats);

  std::uint64_t budget_;
  std::filesystem::path folder_;
  std::vector<Place> places_;
  std::optional<UnnamedFile> file_;
  std::vector<float> buffer_;  // of what goes to the file and comes from there
  std::uint64_t memory_bytes_ = 0;
  std::uint64_t file_bytes_ = 0;
};

// One model on its way through its layers, and where its activations wait between them. They are
// those after the last layer when run_layer_major returns: `between.get`, then `logits`.
struct Stream {
  Engine& engine;
  ActivationStore& between;
};

// What happens around the layers. Within one layer the streams run one after the other, in order.
class LayerVisitor {
 public:
  virtual ~LayerVisitor() = default;
  // All batches of a stream are about to run this layer. What is returned sees the inputs of its
  // products, of one batch after the other; null: nobody does.
  virtual LinearTap* begin(std::size_t stream, std::uint64_t layer) = 0;
  // Batch `batch` has run it. The session numbers of the stream's engine are in `rows`, and those
  // whose last batch it was have not forgotten the layer yet.
  virtual void after_batch(std::size_t stream, std::uint64_t layer, std::size_t batch,
                           Batch rows) = 0;
  // All of them have. Weights of the layer may change now, for the streams that come.
  virtual void end(std::size_t stream, std::uint64_t layer) = 0;
};

// Runs the batches through all layers of every stream. Their session numbers tell texts apart and
// are the caller's own; the sessions are made here, of each engine, and released at the end. A text
// begins at position 0, and its batches are in order. Keys and values of a layer are given back
// once the last batch of their text is through: texts one after the other need the memory of one
// layer of one text. Weights are asked for a layer ahead and left when all streams are through:
// those of two layers are in memory at a time, and the embedding before the second. Throws what the
// engines throw, and Error{kInterrupted} between two batches once `stop` is set. `progress`
// advances by a row for each layer and stream.
void run_layer_major(std::span<const Stream> streams,
                     std::span<const std::vector<BatchRow>> batches, LayerVisitor& visitor,
                     Progress& progress, const StopFlag& stop);

// Memory that run_layer_major takes of one stream beside waiting activations: the work on a batch,
// keys and values of one layer, and the weights of two layers, or of one beside the embedding or
// the output matrix.
std::uint64_t layer_major_bytes(const model::Checkpoint& checkpoint, const EngineOptions& options);

// What the program takes before any of this: code, tables, the tokenizer while it is built.
inline constexpr std::uint64_t kProgramBytes = 48u << 20;

}  // namespace pajamas::runtime
