// A checkpoint's weights where its files are mapped.
#pragma once

#include <vector>

#include "base/file.h"
#include "base/mapped_hints.h"
#include "model/checkpoint.h"
#include "weights/store.h"

namespace pajamas::weights {

// The files are those that the checkpoint opened; nothing is read before it is used, and what was
// read stays as long as the system has memory for it.
class MappedWeights final : public WeightStore {
 public:
  // Throws as MappedFile::map does, and Error{kUnsupported} for a tensor that nothing here decodes.
  explicit MappedWeights(model::Checkpoint checkpoint);

  const model::Checkpoint& checkpoint() const noexcept { return checkpoint_; }
  const model::ModelConfig& config() const noexcept override { return checkpoint_.config(); }
  bool contains(model::TensorKey key) const noexcept override;
  using WeightStore::acquire;
  void acquire(std::span<const model::TensorKey> keys,
               std::vector<WeightLease>& leases) const override;
  // Costs two system calls a plane where it is in memory already.
  void prefetch(std::span<const model::TensorKey> keys) const noexcept override;
  void drop(std::span<const model::TensorKey> keys, Residency before) const noexcept override;
  Residency residency(model::TensorKey key) const noexcept override;

 private:
  // The rows of a key: a whole tensor's, or one expert's.
  struct Rows {
    const model::StoredTensor* tensor;
    std::uint64_t first;
    std::uint64_t count;
  };
  Rows rows_of_key(const model::StoredTensor& tensor, model::TensorKey key) const;
  WeightView view_of(const Rows& rows) const;

  model::Checkpoint checkpoint_;
  std::vector<MappedFile> files_;
  mutable MappedHints read_ahead_;   // of the files
  mutable MappedHints drop_behind_;  // the same, so that neither waits for the other
};

}  // namespace pajamas::weights
