#include "weights/mapped.h"

#include <fmt/format.h>

#include "base/error.h"
#include "codec/codec.h"

namespace pajamas::weights {

MappedWeights::MappedWeights(model::Checkpoint checkpoint) : checkpoint_(std::move(checkpoint)) {
  for (const model::StoredTensor& tensor : checkpoint_.tensors()) {
    if (codec::can_decode(tensor.encoding) && tensor.encoding.fits(tensor.shape.cols())) continue;
    throw Error(ErrorCode::kUnsupported,
                fmt::format("cannot run weights stored as {}", tensor.encoding.name()),
                "use a file of another method")
        .at(tensor.name)
        .at(printable(checkpoint_.path().native(), 300));
  }
  for (const File& file : checkpoint_.files()) files_.push_back(MappedFile::map(file));
}

bool MappedWeights::contains(model::TensorKey key) const noexcept {
  return checkpoint_.find({key.role, key.layer, -1}) != nullptr;
}

MappedWeights::Rows MappedWeights::rows_of_key(const model::StoredTensor& tensor,
                                               model::TensorKey key) const {
  if (key.expert < 0) return {&tensor, 0, tensor.shape.rows()};
  const std::uint64_t count = tensor.shape.rows() / config().experts;
  return {&tensor, static_cast<std::uint64_t>(key.expert) * count, count};
}

WeightView MappedWeights::view_of(const Rows& rows) const {
  const model::StoredTensor& tensor = *rows.tensor;
  WeightView view{tensor.encoding, rows.count, tensor.shape.cols(), {}};
  for (std::size_t p = 0; p < tensor.encoding.planes(); ++p) {
    const model::StoredRows at = model::locate_rows(tensor, p, rows.first, rows.count);
    PJ_CHECK(rows.first % tensor.rows_per_part() % at.sharing == 0);
    view.planes[p] = {files_[at.file].bytes().subspan(at.offset, at.length), at.row_step,
                      at.col_step};
  }
  return view;
}

void MappedWeights::acquire(std::span<const model::TensorKey> keys,
                            std::vector<WeightLease>& leases) const {
  leases.reserve(leases.size() + keys.size());
  const std::size_t before = leases.size();
  try {
    for (const model::TensorKey key : keys) {
      leases.emplace_back(view_of(rows_of_key(checkpoint_.get({key.role, key.layer, -1}), key)));
    }
  } catch (...) {
    leases.erase(leases.begin() + static_cast<std::ptrdiff_t>(before), leases.end());
    throw;
  }
}

void MappedWeights::prefetch(std::span<const model::TensorKey> keys) const noexcept {
  for (const model::TensorKey key : keys) {
    const model::StoredTensor* tensor = checkpoint_.find({key.role, key.layer, -1});
    if (tensor == nullptr) continue;
    const Rows rows = rows_of_key(*tensor, key);
    for (std::size_t p = 0; p < tensor->encoding.planes(); ++p) {
      const model::StoredRows at = model::locate_rows(*tensor, p, rows.first, rows.count);
      if (files_[at.file].is_cached(at.offset, at.length)) continue;
      read_ahead_.read(files_[at.file], at.offset, at.length);
    }
  }
}

void MappedWeights::drop(std::span<const model::TensorKey> keys, Residency before) const noexcept {
  for (const model::TensorKey key : keys) {
    const model::StoredTensor* tensor = checkpoint_.find({key.role, key.layer, -1});
    if (tensor == nullptr) continue;
    const Rows rows = rows_of_key(*tensor, key);
    for (std::size_t p = 0; p < tensor->encoding.planes(); ++p) {
      const model::StoredRows at = model::locate_rows(*tensor, p, rows.first, rows.count);
      drop_behind_.drop(files_[at.file], at.offset, at.length, before == Residency::kStored);
    }
  }
}

Residency MappedWeights::residency(model::TensorKey key) const noexcept {
  const model::StoredTensor* tensor = checkpoint_.find({key.role, key.layer, -1});
  if (tensor == nullptr) return Residency::kStored;
  const Rows rows = rows_of_key(*tensor, key);
  for (std::size_t p = 0; p < tensor->encoding.planes(); ++p) {
    const model::StoredRows at = model::locate_rows(*tensor, p, rows.first, rows.count);
    if (!files_[at.file].is_cached(at.offset, at.length)) return Residency::kStored;
  }
  return Residency::kCached;
}

}  // namespace pajamas::weights
