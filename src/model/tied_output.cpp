// `tie_word_embeddings: true` in files that have an output matrix of their own: merged, pruned and
// otherwise changed models. Facts: transformers 5, modeling_utils.py tie_weights (equal values are
// tied, others are not; where only one of the two is stored it is both).
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "model/shards.h"
#include "model/tensor_names.h"
#include "tensor/convert.h"

namespace pajamas::model {
namespace {

enum class Likeness {
  kDifferent,
  kEqual,
  kUnknown,  // all zeros: nothing but the header of the file is here
};

// Bytes of rows that are compared at a time.
constexpr std::uint64_t kBytesAtATime = 1 << 20;

// Rows of one tensor, as bytes of every plane one after the other.
class Rows {
 public:
  Rows(std::span<const File> files, const StoredTensor& tensor) : files_(files), tensor_(tensor) {}

  void read(std::uint64_t first, std::uint64_t count) {
    const std::uint64_t cols = tensor_.shape.cols();
    bytes_.resize(count * tensor_.encoding.row_bytes(cols));
    Planes planes;
    std::size_t at = 0;
    for (std::size_t p = 0; p < tensor_.encoding.planes(); ++p) {
      const std::size_t size = count * tensor_.encoding.plane_row_bytes(p, cols);
      planes.plane[p] = std::span(bytes_).subspan(at, size);
      at += size;
    }
    read_stored_rows(files_, tensor_, first, count, planes);
  }
  std::span<const std::byte> bytes() const noexcept { return bytes_; }
  bool zeros() const noexcept {
    return std::ranges::all_of(bytes_, [](std::byte b) { return b == std::byte{0}; });
  }
  std::vector<float> numbers() const {
    std::vector<float> values(bytes_.size() / info(tensor_.encoding.dtype).block_bytes);
    to_floats(tensor_.encoding.dtype, bytes_, values);
    return values;
  }

 private:
  std::span<const File> files_;
  const StoredTensor& tensor_;
  std::vector<std::byte> bytes_;
};

// Different types of plain numbers are compared as numbers; quantized weights that are not stored
// alike are taken to differ.
Likeness compare(std::span<const File> files, const StoredTensor& a, const StoredTensor& b) {
  const bool alike = a.encoding == b.encoding;
  if (!alike && !(a.encoding.is_plain() && b.encoding.is_plain())) return Likeness::kDifferent;
  const std::uint64_t rows = a.shape.rows();
  const std::uint64_t step =
      std::max<std::uint64_t>(1, kBytesAtATime / a.encoding.row_bytes(a.shape.cols()));
  Rows left(files, a), right(files, b);
  bool zeros = true;
  for (std::uint64_t first = 0; first < rows; first += step) {
    const std::uint64_t count = std::min(step, rows - first);
    left.read(first, count);
    right.read(first, count);
    if (!(alike ? std::ranges::equal(left.bytes(), right.bytes())
                : left.numbers() == right.numbers())) {
      return Likeness::kDifferent;
    }
    zeros = zeros && left.zeros();
  }
  return zeros ? Likeness::kUnknown : Likeness::kEqual;
}

}  // namespace

void Shards::settle_output() {
  if (!config_.tied_output) return;
  ModelConfig untied = config_;
  untied.tied_output = false;
  const auto specs = tensors_of(untied);
  const TensorSpec& embedding = specs.front();
  const TensorSpec& output = specs.back();
  if (output.key.role != Role::kOutput) return;
  const std::string& embedding_name = is_mlx_ ? embedding.mlx : embedding.hf;
  const std::string& output_name = is_mlx_ ? output.mlx : output.hf;
  if (!find_entry(output_name)) return;
  if (!find_entry(embedding_name)) {  // then it is both
    const std::string from(module_of(output_name)), to(module_of(embedding_name));
    for (auto at = by_name_.lower_bound(from + "."); at != by_name_.end();) {
      if (!at->first.starts_with(from + ".")) break;
      auto moved = by_name_.extract(at++);
      moved.key() = to + moved.key().substr(from.size());
      by_name_.insert(std::move(moved));
    }
    return;
  }
  std::optional<StoredTensor> own, shared;
  try {
    own = take(output);
    shared = take(embedding);
  } catch (const Error& error) {
    config_.notes.push_back(
        fmt::format("tie_word_embeddings is true and {} does not fit: the embedding is used ({})",
                    output_name, error.what()));
    return;
  }
  const Likeness likeness = compare(files_, *own, *shared);
  if (likeness == Likeness::kEqual) return;
  config_.tied_output = false;
  config_.notes.push_back(
      likeness == Likeness::kDifferent
          ? fmt::format("tie_word_embeddings is true, but {} is stored and differs from the "
                        "embedding: the stored one is used",
                        output_name)
          : fmt::format("tie_word_embeddings is true and {} is stored: whether it differs from "
                        "the embedding is not known without the weights, and it is counted",
                        output_name));
}

}  // namespace pajamas::model
