#include "runtime/weights.h"

#include <fmt/format.h>

#include "base/error.h"
#include "codec/codec.h"

namespace pajamas::runtime {

MappedWeights::MappedWeights(model::Checkpoint checkpoint) : checkpoint_(std::move(checkpoint)) {
  for (const model::StoredTensor& tensor : checkpoint_.tensors()) {
    if (codec::can_decode(tensor.encoding) && tensor.encoding.fits(tensor.shape.cols())) continue;
    throw Error(ErrorCode::kUnsupported,
                fmt::format("cannot run weights stored as {}", tensor.encoding.name()),
                "use a file of another method")
        .at(tensor.name)
        .at(printable(checkpoint_.path().native(), 300));
  }
  for (const File& file : checkpoint_.files()) {
    files_.push_back(MappedFile::map(file.path()));
    if (files_.back().bytes().size() != file.size()) {
      throw Error(ErrorCode::kCorruptFile, "the file changed while it was opened", "try again")
          .at(printable(file.path().native(), 300));
    }
  }
}

bool MappedWeights::contains(model::TensorKey key) const noexcept {
  return checkpoint_.find({key.role, key.layer, -1}) != nullptr;
}

WeightLease MappedWeights::acquire(model::TensorKey key) const {
  const model::StoredTensor& tensor = checkpoint_.get({key.role, key.layer, -1});
  const bool one = key.expert >= 0;
  const std::uint64_t rows = one ? tensor.shape.rows() / config().experts : tensor.shape.rows();
  const std::uint64_t first = one ? static_cast<std::uint64_t>(key.expert) * rows : 0;
  const std::uint64_t in_part = tensor.rows_per_part();
  PJ_CHECK(first % in_part + rows <= in_part);
  const model::Part& part = tensor.parts[first / in_part];
  const std::uint64_t cols = tensor.shape.cols();
  WeightView view{tensor.encoding, rows, cols, {}};
  for (std::size_t p = 0; p < tensor.encoding.planes(); ++p) {
    const model::PlaneLocation& at = part[p];
    const std::uint64_t sharing = tensor.encoding.rows_sharing(p);
    const std::uint64_t begin = first % in_part / sharing * at.row_step;
    std::uint64_t length = (rows - 1) / sharing * at.row_step;
    if (at.col_step == 0) {
      length += tensor.encoding.plane_row_bytes(p, cols);
    } else {
      length += (cols - 1) * at.col_step + info(tensor.encoding.dtype).block_bytes;
    }
    view.planes[p] = {files_[at.file].bytes().subspan(at.offset + begin, length), at.row_step,
                      at.col_step};
  }
  return {view, nullptr};
}

}  // namespace pajamas::runtime
