// The work of `execute`: ranges of rows, cut and handed out in order.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "model/checkpoint.h"

namespace pajamas::quantize {

// A range of rows of one tensor: the unit of work. No two pieces share a byte of any output.
struct Piece {
  const model::StoredTensor* tensor;
  std::uint64_t first;
  std::uint64_t rows;

  std::uint64_t bytes() const noexcept;  // that are read for it
};

// Rows of about `weights` weights, at least one.
std::uint64_t rows_with(std::uint64_t weights, std::uint64_t cols) noexcept;

// Weights of a piece of a tensor: enough that the disk reads and writes in large runs. Of
// transposed experts a piece is a whole one where that is not too large, so that it is read but
// once.
std::uint64_t piece_weights(const model::StoredTensor& tensor) noexcept;
// The same of tensors with `cols` columns that are not transposed.
std::uint64_t piece_weights(std::uint64_t cols) noexcept;

// All pieces, layer by layer: tensors outside the layers first, each group in the order of its
// bytes in the files.
std::vector<Piece> pieces_of(const model::Checkpoint& checkpoint);

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
