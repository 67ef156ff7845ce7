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
  return checkpoint_.find(key) != nullptr;
}

WeightLease MappedWeights::acquire(model::TensorKey key) const {
  const model::StoredTensor& tensor = checkpoint_.get(key);
  WeightView view{tensor.encoding, tensor.shape.rows(), tensor.shape.cols(), {}};
  for (std::size_t p = 0; p < tensor.encoding.planes(); ++p) {
    const model::PlaneLocation& at = tensor.planes[p];
    view.planes.plane[p] = files_[at.file].bytes().subspan(at.offset, at.bytes);
  }
  return {view, nullptr};
}

}  // namespace pajamas::runtime
