// Who decides how rows are encoded: what `execute` asks for the encoder of each matrix.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "quantize/plan.h"
#include "tensor/encoding.h"

namespace pajamas::quantize {

// Encodes the rows of one matrix, or of one expert of a stack, into one output. Called by several
// threads at a time, for each row once.
class RowEncoder {
 public:
  virtual ~RowEncoder() = default;

  // `rows` [n][columns] are those from `first` on, counted within the matrix or expert; `out` has
  // room for exactly them, as they are stored: rows that share a scale (Encoding::rows_sharing)
  // have one, and `first` is a multiple of their number. The bytes must not depend on how rows are
  // cut into calls.
  virtual void encode(std::uint64_t first, std::span<const float> rows,
                      const Planes& out) const = 0;

  // How much it weighs each column's error; empty where all alike. Where a weight may be too large
  // for the encoding, its block is judged by this.
  virtual std::span<const float> importance() const noexcept { return {}; }
};

// Gives the encoders of one execution: from the weights alone, from statistics of activations, with
// error feedback, ...
class EncoderSource {
 public:
  virtual ~EncoderSource() = default;

  // Whether each layer is to be encoded to its last row before anything of the next is asked for.
  // Without, workers go on into the next layer while others finish this one.
  virtual bool layer_by_layer() const noexcept { return false; }

  // Around every layer, where it is layer_by_layer: by one thread, in ascending order, while
  // nothing is encoded. Layer -1 is what comes before the layers (the embedding), and the number of
  // layers is what comes after them (the last norm and the output matrix). May wait, and throw what
  // ends the execution.
  virtual void begin_layer(int layer) { (void)layer; }
  virtual void end_layer(int layer) { (void)layer; }

  // The encoder of a tensor of an output, or of one expert of a stack: 0, 1, ..., else -1. Asked
  // for once, before the first of its rows is encoded; by several threads at a time, for different
  // matrices, while others compute. It goes once the last of its rows is encoded.
  virtual std::unique_ptr<const RowEncoder> encoder(const PlannedTensor& tensor, int expert) = 0;
};

}  // namespace pajamas::quantize
