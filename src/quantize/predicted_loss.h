// What a type costs a tensor, foretold: the error that its encoder makes on some of the rows.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/table.h"
#include "model/checkpoint.h"
#include "quantize/measured_importance.h"

namespace pajamas::quantize {

// Where losses come from that an allocation weighs against bytes. What measures divergences is one
// more of these.
class LossSource {
 public:
  virtual ~LossSource() = default;

  virtual std::string_view name() const noexcept = 0;  // "predicted loss", for messages
  // What each of `encodings` costs this tensor; losses of tensors add up. Called by several threads
  // at a time, for different tensors.
  virtual std::vector<double> of(const model::TensorSpec& tensor,
                                 std::span<const Encoding> encodings) = 0;
};

// Rows, each with what its columns are multiplied with. Empty: with all alike.
struct RowSample {
  struct Columns {
    std::span<const float> importance;  // what the encoder is told
    std::span<const float> squares;     // mean square of each column's input, by which it is judged
  };
  std::uint64_t cols = 0;
  std::vector<float> rows;           // [n][cols]
  std::vector<Columns> columns;      // of each row
  std::vector<float> gains_squared;  // of the norm before the matrix, for `columns`
};
// The square of the error of the products with these rows over the square of the products: what the
// weights' noise adds to a matrix's output, relative to it. A matrix of any size counts alike, as
// its output does.
double relative_error(const kernels::KernelTable& kernels, const Encoding& encoding,
                      const RowSample& sample);

// How much a model's divergence grows with the relative error of one tensor, by its role: measured
// on the two small checkpoints whose weights are plain (docs/size-target.md). What is in a layer
// counts less where there are more layers.
double influence(const model::TensorSpec& tensor, const model::ModelConfig& config) noexcept;

// On rows of the model itself, spread evenly over each tensor (and its experts), about a hundredth
// of a pass; columns weigh as measured where there is a matrix, else as the norm before them says.
class SampledLoss final : public LossSource {
 public:
  // All must outlive this object; `importance` may be null.
  SampledLoss(const model::Checkpoint& checkpoint, const kernels::KernelTable& kernels,
              const MeasuredImportance* importance)
      : checkpoint_(&checkpoint), kernels_(&kernels), importance_(importance) {}

  std::string_view name() const noexcept override { return "predicted loss"; }
  std::vector<double> of(const model::TensorSpec& tensor,
                         std::span<const Encoding> encodings) override;

 private:
  RowSample sample(const model::StoredTensor& tensor) const;
  void read_gains(const model::StoredTensor& tensor, RowSample& sample) const;

  const model::Checkpoint* checkpoint_;
  const kernels::KernelTable* kernels_;
  const MeasuredImportance* importance_;
};

// Without the weights: on rows of normally distributed numbers, one figure a type.
class TypicalLoss final : public LossSource {
 public:
  // Both must outlive this object.
  TypicalLoss(const model::ModelConfig& config, const kernels::KernelTable& kernels)
      : config_(&config), kernels_(&kernels) {}

  std::string_view name() const noexcept override { return "loss on usual weights"; }
  std::vector<double> of(const model::TensorSpec& tensor,
                         std::span<const Encoding> encodings) override;

 private:
  const model::ModelConfig* config_;
  const kernels::KernelTable* kernels_;
  std::mutex mutex_;
  std::vector<std::pair<Encoding, double>> known_;
};

}  // namespace pajamas::quantize
