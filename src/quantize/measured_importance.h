// How much the error of each column matters, as measured on a text: an importance matrix that was
// read, on its way to the encoders.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "io/imatrix.h"
#include "kernels/table.h"
#include "model/checkpoint.h"
#include "quantize/encoder.h"
#include "quantize/importance.h"

namespace pajamas::quantize {

// An expert that saw fewer rows than this is told: its columns are not known well.
inline constexpr std::uint64_t kHardlySeen = 256;

// The experts of one layer that lean on their layer's mean, each with the rows it has seen.
struct LeaningExperts {
  int layer = 0;
  std::vector<std::pair<std::uint32_t, std::uint64_t>> experts;
};

class MeasuredImportance {
 public:
  // Of a model's matrices. Throws Error{kUsage} where an entry has another number of columns or
  // experts than the model, or no entry is of this model.
  MeasuredImportance(const io::Imatrix& matrix, const model::ModelConfig& config);

  // One weight a column of a matrix, or of one expert of a stack: the mean square of what it is
  // multiplied with, over the mean of all columns. Of an expert the mean of its layer counts as
  // some rows more, so that one that was never seen has the weights of its layer. Empty where
  // nothing was measured. Valid as long as this object.
  std::span<const float> of(model::TensorKey matrix) const noexcept;

  // Entries that are of no matrix of the model, and matrices of layers that have no data.
  const std::vector<std::string>& unmatched() const noexcept { return unmatched_; }
  const std::vector<std::string>& without() const noexcept { return without_; }
  const std::vector<LeaningExperts>& leaning() const noexcept { return leaning_; }
  // These three, a sentence each where there is something to say.
  std::vector<std::string> notes() const;

 private:
  void take(const model::TensorSpec& spec, const io::ImatrixEntry& entry, bool counts_rows);

  std::map<model::TensorKey, std::vector<float>> columns_;
  std::vector<std::string> unmatched_;
  std::vector<std::string> without_;
  std::vector<LeaningExperts> leaning_;
};

// Encoders that weigh columns as measured, and those without data as NormGainEncoders does.
class MeasuredEncoders final : public EncoderSource {
 public:
  // All must outlive this object.
  MeasuredEncoders(const MeasuredImportance& importance, const model::Checkpoint& checkpoint,
                   const kernels::KernelTable& kernels)
      : importance_(&importance), kernels_(&kernels), usual_(checkpoint, kernels) {}

  // Throws as NormGainEncoders does. Valid as long as this object.
  std::unique_ptr<const RowEncoder> encoder(const PlannedTensor& tensor, int expert) override;

 private:
  const MeasuredImportance* importance_;
  const kernels::KernelTable* kernels_;
  NormGainEncoders usual_;
};

}  // namespace pajamas::quantize
