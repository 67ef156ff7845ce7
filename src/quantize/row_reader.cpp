#include "quantize/row_reader.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/system.h"

namespace pajamas::quantize {

void RowReader::read(const model::StoredTensor& tensor, std::uint64_t first, std::uint64_t count,
                     std::span<float> out) {
  const Encoding& encoding = tensor.encoding;
  if (!codec::can_decode(encoding)) {
    throw Error(ErrorCode::kUnsupported, fmt::format("{} cannot be decoded yet", encoding.name()))
        .at(tensor.name);
  }
  const std::uint64_t cols = tensor.shape.cols();
  stored_.resize(count * encoding.row_bytes(cols));
  Planes planes;
  ConstPlanes stored;
  std::span<std::byte> rest(stored_);
  for (std::size_t plane = 0; plane < encoding.planes(); ++plane) {
    const std::uint64_t bytes = count * encoding.plane_row_bytes(plane, cols);
    planes.plane[plane] = rest.first(bytes);
    stored.plane[plane] = planes.plane[plane];
    rest = rest.subspan(bytes);
  }
  const double began = seconds_now();
  checkpoint_->read_rows(tensor, first, count, planes);
  const double between = seconds_now();
  kernels_->decode_rows(encoding, stored, cols, out);
  read_seconds_ += between - began;
  decode_seconds_ += seconds_now() - between;
}

void require_finite(const model::Checkpoint& checkpoint, const model::StoredTensor& tensor,
                    std::uint64_t first, std::span<const float> values) {
  const std::size_t bad = codec::first_non_finite(values);
  if (bad == values.size()) return;
  const std::uint64_t cols = tensor.shape.cols();
  throw Error(ErrorCode::kCorruptFile,
              fmt::format("weight {} of row {} is {}", bad % cols, first + bad / cols, values[bad]),
              "the model is damaged: download or convert it again")
      .at(tensor.name)
      .at(printable(checkpoint.files()[tensor.planes[0].file].path().native(), 300));
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
