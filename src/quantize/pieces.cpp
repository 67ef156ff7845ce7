#include "quantize/pieces.h"

#include <algorithm>
#include <tuple>

namespace pajamas::quantize {
namespace {

constexpr std::uint64_t kPieceWeights = 512 * 1024;
// Of a transposed part, whose every row is spread over all of it.
constexpr std::uint64_t kTransposedWeights = 16 << 20;
// How far ahead of the workers the page cache is filled where they read through it.
constexpr std::uint64_t kReadAheadBytes = 32 << 20;

}  // namespace

std::uint64_t Piece::bytes() const noexcept {
  return rows * tensor->encoding.row_bytes(tensor->shape.cols());
}

std::uint64_t rows_with(std::uint64_t weights, std::uint64_t cols) noexcept {
  return std::max<std::uint64_t>(1, weights / std::max<std::uint64_t>(1, cols));
}

std::uint64_t piece_weights(std::uint64_t cols) noexcept {
  return rows_with(kPieceWeights, cols) * cols;
}

std::uint64_t piece_weights(const model::StoredTensor& tensor) noexcept {
  const std::uint64_t cols = tensor.shape.cols();
  if (!tensor.is_transposed()) return piece_weights(cols);
  return std::min(rows_with(kTransposedWeights, cols), tensor.rows_per_part()) * cols;
}

std::vector<Piece> pieces_of(const model::Checkpoint& checkpoint) {
  std::vector<const model::StoredTensor*> tensors;
  for (const model::StoredTensor& tensor : checkpoint.tensors()) tensors.push_back(&tensor);
  const auto place = [](const model::StoredTensor* t) {
    return std::tuple(t->key.layer, t->parts[0][0].file, t->parts[0][0].offset);
  };
  std::stable_sort(tensors.begin(), tensors.end(),
                   [&](const auto* a, const auto* b) { return place(a) < place(b); });
  std::vector<Piece> pieces;
  for (const model::StoredTensor* tensor : tensors) {
    const std::uint64_t rows = tensor->shape.rows();
    const std::uint64_t step = rows_with(piece_weights(*tensor), tensor->shape.cols());
    for (std::uint64_t first = 0; first < rows; first += step) {
      pieces.push_back({tensor, first, std::min(step, rows - first)});
    }
  }
  return pieces;
}

const Piece* PieceQueue::next() {
  const Piece* piece = nullptr;
  std::span<const Piece> coming;
  {
    const std::lock_guard lock(mutex_);
    if (next_ == pieces_.size()) return nullptr;
    piece = &pieces_[next_++];
    ahead_bytes_ -= std::min(ahead_bytes_, piece->bytes());
    const std::size_t first = ahead_ = std::max(ahead_, next_);
    for (; ahead_ < pieces_.size() && ahead_bytes_ < kReadAheadBytes; ++ahead_) {
      ahead_bytes_ += pieces_[ahead_].bytes();
    }
    coming = pieces_.subspan(first, ahead_ - first);
  }
  // Not under the lock: a disk that has enough to do makes whoever asks for more wait.
  for (const Piece& next : coming) prefetch_(next);
  return piece;
}

void PieceQueue::close() {
  const std::lock_guard lock(mutex_);
  next_ = pieces_.size();
}

}  // namespace pajamas::quantize
