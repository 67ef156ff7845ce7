#include "quantize/row_reader.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/system.h"

namespace pajamas::quantize {

void RowReader::read(const model::StoredTensor& tensor, std::uint64_t first, std::uint64_t count,
                     std::span<float> out) {
  fetch(tensor, first, count);
  decode(tensor, 0, count, out);
}

const ConstPlanes& RowReader::fetch(const model::StoredTensor& tensor, std::uint64_t first,
                                    std::uint64_t count) {
  const double began = seconds_now();
  stored_ = checkpoint_->read_rows_once(tensor, first, count, buffers_);
  read_seconds_ += seconds_now() - began;
  return stored_;
}

void RowReader::decode(const model::StoredTensor& tensor, std::uint64_t first, std::uint64_t count,
                       std::span<float> out) {
  if (!codec::can_decode(tensor.encoding)) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{} cannot be decoded yet", tensor.encoding.name()))
        .at(tensor.name);
  }
  const double began = seconds_now();
  const std::uint64_t cols = tensor.shape.cols();
  ConstPlanes rows;
  for (std::size_t plane = 0; plane < tensor.encoding.planes(); ++plane) {
    const std::uint64_t bytes = tensor.encoding.plane_row_bytes(plane, cols);
    rows.plane[plane] = stored_.plane[plane].subspan(first * bytes, count * bytes);
  }
  kernels_->decode_rows(tensor.encoding, rows, cols, out);
  decode_seconds_ += seconds_now() - began;
}

void require_finite(const model::Checkpoint& checkpoint, const model::StoredTensor& tensor,
                    std::uint64_t first, std::span<const float> values) {
  const std::size_t bad = codec::first_non_finite(values);
  if (bad == values.size()) return;
  const std::uint64_t cols = tensor.shape.cols();
  const std::uint64_t bad_row = first + bad / cols;
  const auto [name, row] = tensor.stored_row(bad_row);
  const model::Part& part = tensor.parts[bad_row / tensor.rows_per_part()];
  throw Error(ErrorCode::kCorruptFile,
              fmt::format("weight {} of row {} is {}", bad % cols, row, values[bad]),
              "the model is damaged: download or convert it again")
      .at(name)
      .at(printable(checkpoint.files()[part[0].file].path().native(), 300));
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

}  // namespace pajamas::quantize
