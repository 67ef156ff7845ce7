// Where an engine gets its weights from. They are leased: a view is valid while its lease lives,
// so that weights may be mapped, unpacked or streamed from disk without an engine knowing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "model/config.h"
#include "model/role.h"
#include "tensor/encoding.h"

namespace pajamas::weights {

// One plane of consecutive rows, wherever they lie: steps as in model::PlaneLocation.
struct WeightPlane {
  std::span<const std::byte> bytes;  // from the first row to the end of the last
  std::uint64_t row_step = 0;
  std::uint64_t col_step = 0;
};

// Rows as they are stored. The first is a multiple of Encoding::rows_sharing of every plane.
struct WeightView {
  Encoding encoding;
  std::uint64_t rows = 0;
  std::uint64_t cols = 0;
  std::array<WeightPlane, Encoding::kMaxPlanes> planes;
};

// Move-only; gives the weights back when it is destroyed.
class WeightLease {
 public:
  // `keeper` is what must live for the view to be valid; null where the store itself is enough. Its
  // deleter is told when the lease ends.
  explicit WeightLease(WeightView view, std::shared_ptr<const void> keeper = nullptr) noexcept
      : view_(view), keeper_(std::move(keeper)) {}
  WeightLease(WeightLease&&) noexcept = default;
  WeightLease& operator=(WeightLease&&) noexcept = default;
  WeightLease(const WeightLease&) = delete;
  WeightLease& operator=(const WeightLease&) = delete;

  const WeightView& view() const& noexcept { return view_; }
  const WeightView& view() && = delete;

 private:
  WeightView view_;
  std::shared_ptr<const void> keeper_;
};

// What it takes before weights can be used.
enum class Residency : std::uint8_t {
  kResident,  // nothing: they are in memory for as long as the store lives
  kCached,    // nothing now; the memory may go to others
  kStored,    // reading
};

// Safe to use from several threads. A key with an expert's number means that expert's rows of a
// stack, as they are leased, asked for and looked up.
class WeightStore {
 public:
  virtual ~WeightStore() = default;
  virtual const model::ModelConfig& config() const noexcept = 0;
  virtual bool contains(model::TensorKey key) const noexcept = 0;

  // Appends a lease of each key to `leases`, in order. Waits for all of them together, so that a
  // store which reads can read them side by side. Throws Error{kNotFound} where there is none, kIo
  // where it cannot be had now; `leases` is then as it was.
  virtual void acquire(std::span<const model::TensorKey> keys,
                       std::vector<WeightLease>& leases) const = 0;
  WeightLease acquire(model::TensorKey key) const;

  // These will be acquired soon. A hint: returns before they are there, and failure is ignored.
  virtual void prefetch(std::span<const model::TensorKey> keys) const noexcept = 0;
  // These will not be acquired for a while: the memory that they take of this process may go to
  // others, and that of the system's cache too where they were kStored `before` they were asked
  // for. A hint; what is leased stays valid.
  virtual void drop(std::span<const model::TensorKey> keys, Residency before) const noexcept {
    (void)keys, (void)before;
  }
  // kStored too for what there is not.
  virtual Residency residency(model::TensorKey key) const noexcept = 0;
};

// Rows [first, first + count) of a view. `first` must be a multiple of what shares a row in any
// plane.
WeightView rows_of(const WeightView& all, std::uint64_t first, std::uint64_t count);

}  // namespace pajamas::weights
