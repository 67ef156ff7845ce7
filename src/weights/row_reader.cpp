#include "weights/row_reader.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/system.h"
#include "tensor/rows.h"

namespace pajamas::weights {

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
  kernels_->decode_rows(tensor.encoding, rows_of(stored_, tensor.encoding, cols, first, count),
                        cols, out);
  decode_seconds_ += seconds_now() - began;
}

}  // namespace pajamas::weights
