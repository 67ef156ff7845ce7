#include "weights/finite.h"

#include <fmt/format.h>

#include <cstddef>
#include <utility>
#include <vector>

#include "codec/room.h"
#include "weights/row_reader.h"

namespace pajamas::weights {
namespace {

constexpr const char* kDamaged = "the model is damaged: download or convert it again";

}  // namespace

Error at_row(Error error, const model::Checkpoint& checkpoint, const model::StoredTensor& tensor,
             std::uint64_t row) {
  const model::Part& part = tensor.parts[row / tensor.rows_per_part()];
  error.at(tensor.stored_row(row).first);
  error.at(printable(checkpoint.files()[part[0].file].path().native(), 300));
  return error;
}

std::string weight_at(const model::StoredTensor& tensor, std::uint64_t first,
                      std::span<const float> values, std::size_t at) {
  const std::uint64_t cols = tensor.shape.cols();
  return fmt::format("weight {} of row {} is {}", at % cols,
                     tensor.stored_row(first + at / cols).second, values[at]);
}

void require_finite(const model::Checkpoint& checkpoint, const model::StoredTensor& tensor,
                    std::uint64_t first, std::span<const float> values) {
  const std::size_t bad = codec::first_non_finite(values);
  if (bad == values.size()) return;
  throw at_row(Error(ErrorCode::kCorruptFile, weight_at(tensor, first, values, bad), kDamaged),
               checkpoint, tensor, first + bad / tensor.shape.cols());
}

void require_finite(const model::Checkpoint& checkpoint, const kernels::KernelTable& kernels,
                    const TaskPool& pool) {
  constexpr std::uint64_t kRows = 64;
  for (const model::StoredTensor& tensor : checkpoint.tensors()) {
    pool.for_ranges(tensor.shape.rows(), kRows, [&](std::uint64_t first, std::uint64_t last) {
      RowReader reader(checkpoint, kernels);
      std::vector<float> values((last - first) * tensor.shape.cols());
      reader.read(tensor, first, last - first, values);
      require_finite(checkpoint, tensor, first, values);
    });
  }
}

void require_finite_scales(const model::Checkpoint& checkpoint, const model::StoredTensor& tensor,
                           std::uint64_t first, const ConstPlanes& stored) {
  const Encoding& encoding = tensor.encoding;
  const std::uint64_t blocks_per_row = tensor.shape.cols() / encoding.block_cols();
  const std::uint64_t row_bytes = encoding.plane_row_bytes(0, tensor.shape.cols());
  const std::size_t bad = codec::first_broken_block(encoding, stored);
  if (bad >= stored.plane[0].size() / row_bytes * blocks_per_row) return;
  const std::uint64_t row = first + bad / blocks_per_row;
  throw at_row(
      Error(
          ErrorCode::kCorruptFile,
          fmt::format("a scale or number of the weights from {} of row {} on is infinite or NaN",
                      bad % blocks_per_row * encoding.block_cols(), tensor.stored_row(row).second),
          kDamaged),
      checkpoint, tensor, row);
}

}  // namespace pajamas::weights
