#include "quantize/pieces.h"

#include <algorithm>
#include <tuple>

#include "tensor/rows.h"

namespace pajamas::quantize {
namespace {

constexpr std::uint64_t kPieceWeights = 512 * 1024;
// Of a transposed part, whose every row is spread over all of it.
constexpr std::uint64_t kTransposedWeights = 16 << 20;
// How far ahead of the workers the page cache is filled where they read through it.
constexpr std::uint64_t kReadAheadBytes = 32 << 20;

int layer_of(model::TensorKey key, int layers) noexcept {
  const bool last = key.role == model::Role::kOutputNorm || key.role == model::Role::kOutput;
  return last ? layers : key.layer;
}

// Rows of the tensor that share a row of a plane where it is read from or written to, at most.
std::uint64_t rows_sharing(const Plan& plan, const model::StoredTensor& tensor) {
  std::uint64_t most = pajamas::rows_sharing(tensor.encoding);
  for (const PlannedOutput& output : plan.outputs) {
    for (const PlannedTensor& target : output.tensors) {
      if (!target.content.empty() || target.spec.key != tensor.key) continue;
      most = std::max(most, pajamas::rows_sharing(target.encoding));
    }
  }
  return most;
}

void cut_tensor(const model::StoredTensor& tensor, std::uint64_t sharing, Work& work) {
  const bool stack = tensor.shape.rank() == 3;
  const std::uint64_t experts = stack ? tensor.shape[0] : 1;
  const std::uint64_t rows = tensor.shape.rows() / experts;
  const std::uint64_t step = piece_rows(tensor, sharing);
  for (std::uint64_t e = 0; e < experts; ++e) {
    const std::size_t matrix = work.matrices.size();
    const std::size_t before = work.pieces.size();
    for (std::uint64_t first = 0; first < rows; first += step) {
      work.pieces.push_back({&tensor, e * rows + first, std::min(step, rows - first), matrix});
    }
    work.matrices.push_back(
        {&tensor, stack ? static_cast<int>(e) : -1, e * rows, rows, work.pieces.size() - before});
  }
}

}  // namespace

std::uint64_t Piece::bytes() const noexcept {
  return rows * tensor->encoding.row_bytes(tensor->shape.cols());
}

std::uint64_t rows_with(std::uint64_t weights, std::uint64_t cols, std::uint64_t sharing) noexcept {
  const std::uint64_t rows = weights / std::max<std::uint64_t>(1, cols);
  return std::max(sharing, rows / sharing * sharing);
}

std::uint64_t piece_rows(std::uint64_t cols, std::uint64_t sharing) noexcept {
  return rows_with(kPieceWeights, cols, sharing);
}

std::uint64_t piece_rows(const model::StoredTensor& tensor, std::uint64_t sharing) noexcept {
  const std::uint64_t cols = tensor.shape.cols();
  if (!tensor.is_transposed()) return piece_rows(cols, sharing);
  return std::min(rows_with(kTransposedWeights, cols, sharing), tensor.rows_per_part());
}

Work cut(const Plan& plan, const model::Checkpoint& checkpoint) {
  const int layers = static_cast<int>(checkpoint.config().layers);
  std::vector<const model::StoredTensor*> tensors;
  for (const model::StoredTensor& tensor : checkpoint.tensors()) tensors.push_back(&tensor);
  const auto place = [&](const model::StoredTensor* t) {
    return std::tuple(layer_of(t->key, layers), t->parts[0][0].file, t->parts[0][0].offset);
  };
  std::stable_sort(tensors.begin(), tensors.end(),
                   [&](const auto* a, const auto* b) { return place(a) < place(b); });
  Work work;
  for (const model::StoredTensor* tensor : tensors) {
    const int layer = layer_of(tensor->key, layers);
    if (work.layers.empty() || work.layers.back().number != layer) {
      work.layers.push_back({layer, work.pieces.size(), 0});
    }
    cut_tensor(*tensor, rows_sharing(plan, *tensor), work);
    work.layers.back().count = work.pieces.size() - work.layers.back().first;
  }
  return work;
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
