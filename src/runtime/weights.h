// Where an engine gets its weights from. They are leased: a view is valid while its lease lives,
// so that weights may be mapped, unpacked or streamed from disk without an engine knowing.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <utility>

#include "model/checkpoint.h"
#include "tensor/encoding.h"

namespace pajamas::runtime {

// One plane of consecutive rows, wherever they lie: steps as in model::PlaneLocation.
struct WeightPlane {
  std::span<const std::byte> bytes;  // from the first row to the end of the last
  std::uint64_t row_step = 0;
  std::uint64_t col_step = 0;
};

// Rows as they are stored.
struct WeightView {
  Encoding encoding;
  std::uint64_t rows = 0;
  std::uint64_t cols = 0;
  std::array<WeightPlane, Encoding::kMaxPlanes> planes;
};

// Move-only; gives the weights back when it is destroyed.
class WeightLease {
 public:
  WeightLease(WeightView view, std::function<void()> give_back)
      : view_(view), give_back_(std::move(give_back)) {}
  WeightLease(WeightLease&& other) noexcept
      : view_(other.view_), give_back_(std::exchange(other.give_back_, nullptr)) {}
  WeightLease& operator=(WeightLease&&) = delete;
  ~WeightLease() {
    if (give_back_) give_back_();
  }

  const WeightView& view() const& noexcept { return view_; }
  const WeightView& view() && = delete;

 private:
  WeightView view_;
  std::function<void()> give_back_;
};

class WeightStore {
 public:
  virtual ~WeightStore() = default;
  virtual const model::ModelConfig& config() const noexcept = 0;
  virtual bool contains(model::TensorKey key) const noexcept = 0;
  // A key with an expert's number gives that expert's rows of a stack. Throws Error{kNotFound}
  // where there is none, kIo where it cannot be had now.
  virtual WeightLease acquire(model::TensorKey key) const = 0;
};

// The checkpoint's files, mapped; nothing is read before it is used.
class MappedWeights final : public WeightStore {
 public:
  // Throws as MappedFile::map does, Error{kCorruptFile} where a file is not as long as it was when
  // the checkpoint was opened, and Error{kUnsupported} for a tensor that nothing here decodes.
  explicit MappedWeights(model::Checkpoint checkpoint);

  const model::Checkpoint& checkpoint() const noexcept { return checkpoint_; }
  const model::ModelConfig& config() const noexcept override { return checkpoint_.config(); }
  bool contains(model::TensorKey key) const noexcept override;
  WeightLease acquire(model::TensorKey key) const override;

 private:
  model::Checkpoint checkpoint_;
  std::vector<MappedFile> files_;
};

}  // namespace pajamas::runtime
