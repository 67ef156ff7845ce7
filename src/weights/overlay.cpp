#include "weights/overlay.h"

#include "base/error.h"
#include "tensor/rows.h"

namespace pajamas::weights {
namespace {

bool is_stack(model::Role role) noexcept {
  using enum model::Role;
  return role == kExpertGate || role == kExpertUp || role == kExpertDown ||
         role == kExpertGateBias || role == kExpertUpBias || role == kExpertDownBias;
}

}  // namespace

WeightView HeldTensor::view() const noexcept {
  WeightView view{encoding, rows, cols, {}};
  for (std::size_t p = 0; p < encoding.planes(); ++p) {
    view.planes[p] = {planes[p], encoding.plane_row_bytes(p, cols), 0};
  }
  return view;
}

void OverlayWeights::replace(model::TensorKey key, HeldTensor tensor) {
  PJ_CHECK(key.expert < 0);
  {
    // A stack may lie in several places, which no view spans: one expert stands for all.
    const bool stack = is_stack(key.role);
    const WeightLease before = base_->acquire({key.role, key.layer, stack ? 0 : -1});
    const std::uint64_t times = stack ? config().experts : 1;
    PJ_CHECK(tensor.rows == before.view().rows * times && tensor.cols == before.view().cols);
  }
  for (std::size_t p = 0; p < tensor.encoding.planes(); ++p) {
    PJ_CHECK(tensor.planes[p].size() == stored_rows(tensor.encoding, p, tensor.rows) *
                                            tensor.encoding.plane_row_bytes(p, tensor.cols));
  }
  auto held = std::make_shared<const HeldTensor>(std::move(tensor));
  const std::lock_guard lock(mutex_);
  replaced_[key] = std::move(held);
}

void OverlayWeights::restore(int layer) {
  const std::lock_guard lock(mutex_);
  std::erase_if(replaced_, [&](const auto& entry) { return entry.first.layer == layer; });
}

std::uint64_t OverlayWeights::bytes() const noexcept {
  const std::lock_guard lock(mutex_);
  std::uint64_t sum = 0;
  for (const auto& [key, tensor] : replaced_) {
    for (const auto& plane : tensor->planes) sum += plane.size();
  }
  return sum;
}

std::shared_ptr<const HeldTensor> OverlayWeights::find(model::TensorKey key) const noexcept {
  const std::lock_guard lock(mutex_);
  const auto at = replaced_.find({key.role, key.layer, -1});
  return at == replaced_.end() ? nullptr : at->second;
}

void OverlayWeights::acquire(std::span<const model::TensorKey> keys,
                             std::vector<WeightLease>& leases) const {
  const std::size_t before = leases.size();
  try {
    // Runs of keys that the base has go to it together.
    std::size_t of_base = 0;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      std::shared_ptr<const HeldTensor> held = find(keys[i]);
      if (held == nullptr) {
        ++of_base;
        continue;
      }
      if (of_base > 0) base_->acquire(keys.subspan(i - of_base, of_base), leases);
      of_base = 0;
      WeightView view = held->view();
      if (keys[i].expert >= 0) {
        const std::uint64_t rows = view.rows / config().experts;
        view = rows_of(view, static_cast<std::uint64_t>(keys[i].expert) * rows, rows);
      }
      leases.emplace_back(view, std::move(held));
    }
    if (of_base > 0) base_->acquire(keys.last(of_base), leases);
  } catch (...) {
    leases.erase(leases.begin() + static_cast<std::ptrdiff_t>(before), leases.end());
    throw;
  }
}

void OverlayWeights::prefetch(std::span<const model::TensorKey> keys) const noexcept {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (find(keys[i]) == nullptr) base_->prefetch(keys.subspan(i, 1));
  }
}

void OverlayWeights::drop(std::span<const model::TensorKey> keys, Residency before) const noexcept {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (find(keys[i]) == nullptr) base_->drop(keys.subspan(i, 1), before);
  }
}

Residency OverlayWeights::residency(model::TensorKey key) const noexcept {
  return find(key) != nullptr ? Residency::kResident : base_->residency(key);
}

}  // namespace pajamas::weights
