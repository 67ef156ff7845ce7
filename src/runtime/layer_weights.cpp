#include "runtime/layer_weights.h"

#include <algorithm>
#include <iterator>
#include <new>

#include "model/architecture.h"
#include "runtime/engine.h"

namespace pajamas::runtime {
namespace {

using model::TensorKey;
using weights::Residency;

// What a layer multiplies with. A stack may lie in several places: its experts one by one.
std::vector<TensorKey> matrices_of_layer(const model::ModelConfig& config, std::uint64_t layer) {
  std::vector<TensorKey> keys;
  for (const model::RoleSpec& role : config.architecture->roles()) {
    if (!role.per_layer || !role.is_matrix) continue;
    if (role.present != nullptr && !role.present(config, layer)) continue;
    const TensorKey key{role.role, static_cast<int>(layer)};
    if (role.shape(config).rank() < 3) {
      keys.push_back(key);
      continue;
    }
    for (std::uint64_t e = 0; e < config.experts; ++e) {
      keys.push_back({key.role, key.layer, static_cast<int>(e)});
    }
  }
  return keys;
}

std::vector<TensorKey> matrices_of(const weights::WeightStore& store, std::uint64_t index) {
  const TensorKey embedding{model::Role::kTokenEmbedding}, output{model::Role::kOutput};
  if (index == Engine::kEmbedding) return {embedding};
  if (index == Engine::kOutput) return {store.contains(output) ? output : embedding};
  return matrices_of_layer(store.config(), index);
}

}  // namespace

void LayerWeights::expect(const weights::WeightStore& store, std::uint64_t index) noexcept {
  try {
    std::vector<TensorKey>& absent = from_disk_[index];
    absent.clear();
    std::ranges::copy_if(matrices_of(store, index), std::back_inserter(absent),
                         [&](TensorKey key) { return store.residency(key) == Residency::kStored; });
    if (index != Engine::kEmbedding) store.prefetch(absent);
  } catch (const std::bad_alloc&) {  // then the system reads them when they are used
  }
}

void LayerWeights::leave(const weights::WeightStore& store, std::uint64_t index) noexcept {
  try {
    const std::vector<TensorKey> keys = matrices_of(store, index);
    if (const auto absent = from_disk_.find(index); absent != from_disk_.end()) {
      store.drop(absent->second, Residency::kStored);
      from_disk_.erase(absent);
    }
    store.drop(keys, Residency::kCached);
  } catch (const std::bad_alloc&) {
  }
}

}  // namespace pajamas::runtime
