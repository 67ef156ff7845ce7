// How much the error of each column of a matrix matters, from the checkpoint alone.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "kernels/table.h"
#include "model/checkpoint.h"
#include "quantize/encoder.h"

namespace pajamas::quantize {

// The norm whose output a matrix multiplies; nothing where it multiplies something else.
std::optional<model::TensorKey> norm_before(model::TensorKey matrix) noexcept;

// By how much the plain error of an encoding may grow, relatively, for the sake of important
// columns. Well below the distance to the stock quantizers, so that the plain error stays below
// theirs too.
double plain_error_budget(const Encoding& encoding) noexcept;

// Column importances by role, made when they are first asked for. Safe from many threads; the same
// numbers on every machine.
class ColumnImportance {
 public:
  ColumnImportance(const model::Checkpoint& checkpoint, const kernels::KernelTable& kernels)
      : checkpoint_(&checkpoint), kernels_(&kernels) {}

  // One weight a column for codec::encode_rows, or empty for uniform. What a norm puts out has a
  // mean square in proportion to its squared gain: that is the importance, tempered (a smaller
  // power of the gain) until the plain error of a sample of rows is within the budget.
  // Valid as long as this object. Throws what reading the checkpoint throws.
  std::span<const float> of(const model::StoredTensor& tensor, const Encoding& encoding);

 private:
  struct Entry {
    std::once_flag once;
    std::vector<float> columns;
  };
  // What all encodings of a tensor are judged on; empty where it cannot be.
  struct Sample {
    std::once_flag once;
    std::vector<float> gains;  // of the norm before it, the largest 1
    std::vector<float> rows;
  };
  struct Key {
    model::TensorKey tensor;
    DType dtype;
    int bits, group_size;
    friend auto operator<=>(const Key&, const Key&) = default;
  };

  std::vector<float> make(const model::StoredTensor& tensor, const Encoding& encoding);
  std::shared_ptr<const Sample> sample_of(const model::StoredTensor& tensor);
  void read(const model::StoredTensor& tensor, Sample& sample) const;

  const model::Checkpoint* checkpoint_;
  const kernels::KernelTable* kernels_;
  std::mutex mutex_;
  std::map<Key, std::unique_ptr<Entry>> entries_;
  // The last few: the outputs of a pass ask for a tensor one right after the other.
  std::deque<std::pair<model::TensorKey, std::shared_ptr<Sample>>> samples_;
};

// codec::encode_rows with one weight a column; empty: all alike. FP8 takes all alike in any case.
// `importance` outlives it.
std::unique_ptr<const RowEncoder> importance_encoder(const kernels::KernelTable& kernels,
                                                     const Encoding& encoding, std::uint64_t cols,
                                                     std::span<const float> importance);

// Encoders that know the weights alone: codec::encode_rows with ColumnImportance, the same for all
// experts of a stack. What `execute` takes by default.
class NormGainEncoders : public EncoderSource {
 public:
  NormGainEncoders(const model::Checkpoint& checkpoint, const kernels::KernelTable& kernels)
      : checkpoint_(&checkpoint), kernels_(&kernels), importance_(checkpoint, kernels) {}

  // Throws what ColumnImportance::of throws. Valid as long as this object.
  std::unique_ptr<const RowEncoder> encoder(const PlannedTensor& tensor, int expert) override;

 private:
  const model::Checkpoint* checkpoint_;
  const kernels::KernelTable* kernels_;
  ColumnImportance importance_;
};

}  // namespace pajamas::quantize
