#include "runtime/native/cpu/constants.h"

#include <array>

#include "runtime/native/cpu/linear.h"

namespace pajamas::runtime {

using model::Role;
using model::TensorKey;

namespace {

constexpr std::array kOfEachLayer{Role::kAttnNorm, Role::kFfnNorm};
constexpr std::array kOfSomeLayers{Role::kAttnQBias,      Role::kAttnKBias, Role::kAttnVBias,
                                   Role::kAttnOutputBias, Role::kAttnQNorm, Role::kAttnKNorm,
                                   Role::kAttnSinks,      Role::kRouterBias};

}  // namespace

Constants::Constants(const kernels::KernelTable& kernels, const weights::WeightStore& store) {
  const auto decode = [&](TensorKey key) {
    const weights::WeightLease lease = store.acquire(key);
    FloatBuffer& to = vectors_[key];
    to.resize(lease.view().cols);
    decode_row(kernels, lease.view(), 0, to);
  };
  decode({Role::kOutputNorm});
  for (int layer = 0; layer < static_cast<int>(store.config().layers); ++layer) {
    for (const Role role : kOfEachLayer) decode({role, layer});
    for (const Role role : kOfSomeLayers) {
      if (store.contains({role, layer})) decode({role, layer});
    }
  }
}

std::span<const float> Constants::of(TensorKey key) const noexcept {
  const auto at = vectors_.find(key);
  return at == vectors_.end() ? std::span<const float>() : std::span<const float>(at->second);
}

}  // namespace pajamas::runtime
