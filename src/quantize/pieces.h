// The work of `execute`: ranges of rows, cut and handed out in order.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "model/checkpoint.h"
#include "quantize/plan.h"

namespace pajamas::quantize {

// What one encoder encodes: the rows of a tensor, or of one expert of a stack.
struct Matrix {
  const model::StoredTensor* tensor;
  int expert;           // -1: the whole tensor
  std::uint64_t first;  // row of the tensor
  std::uint64_t rows;
  std::size_t pieces;  // that it is cut into
};

// A range of rows of one matrix: the unit of work. No two pieces share a byte of any output.
struct Piece {
  const model::StoredTensor* tensor;
  std::uint64_t first;  // row of the tensor
  std::uint64_t rows;
  std::size_t matrix;  // index into Work::matrices

  std::uint64_t bytes() const noexcept;  // that are read for it
};

// Pieces in their order. Layer -1 is the embedding, and the number of layers stands for the last
// norm and the output matrix.
struct Work {
  struct Layer {
    int number;
    std::size_t first;  // of its pieces
    std::size_t count;
  };
  std::vector<Matrix> matrices;
  std::vector<Piece> pieces;
  std::vector<Layer> layers;

  std::span<const Piece> of(const Layer& layer) const {
    return std::span(pieces).subspan(layer.first, layer.count);
  }
};

// Rows of about `weights` weights, a multiple of `sharing`, which is the least.
std::uint64_t rows_with(std::uint64_t weights, std::uint64_t cols, std::uint64_t sharing) noexcept;

// Rows of a piece of rows with `cols` columns: enough that the disk reads and writes in large runs.
std::uint64_t piece_rows(std::uint64_t cols, std::uint64_t sharing) noexcept;
// The same of a tensor. Of transposed experts a piece is a whole one where that is not too large,
// so that it is read but once.
std::uint64_t piece_rows(const model::StoredTensor& tensor, std::uint64_t sharing) noexcept;

// All of a checkpoint, cut for an execution of `plan`: layer after layer, each in the order of its
// bytes in the files. Experts, and rows that share a scale where they are read or written, are not
// cut in two.
Work cut(const Plan& plan, const model::Checkpoint& checkpoint);

// Hands pieces out in their order, so that the files are read from front to back whatever the
// number of workers, no worker waits at the end of a layer, and what comes next is asked of the
// disk in time.
class PieceQueue {
 public:
  // Told once of each piece that is not handed out yet, some time before it is; by any thread that
  // calls `next`, several at a time.
  using Prefetch = std::function<void(const Piece&)>;

  PieceQueue(std::span<const Piece> pieces, Prefetch prefetch)
      : pieces_(pieces), prefetch_(std::move(prefetch)) {}

  // Null where none is left.
  const Piece* next();

  // Leaves nothing to hand out: somebody failed.
  void close();

 private:
  const std::span<const Piece> pieces_;
  const Prefetch prefetch_;
  std::mutex mutex_;
  std::size_t next_ = 0;
  std::size_t ahead_ = 0;          // the first piece that `prefetch` was not told of
  std::uint64_t ahead_bytes_ = 0;  // told of and not yet handed out
};

}  // namespace pajamas::quantize
