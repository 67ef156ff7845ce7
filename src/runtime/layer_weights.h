// The weights of one layer after the other in memory, for engines whose callers run many batches
// through a layer before the next.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "model/role.h"
#include "weights/store.h"

namespace pajamas::runtime {

// What Engine::expect and Engine::leave tell a store. What was in memory before it was expected
// stays there. The embedding is not asked for: a text needs some of its rows.
class LayerWeights {
 public:
  void expect(const weights::WeightStore& store, std::uint64_t index) noexcept;
  void leave(const weights::WeightStore& store, std::uint64_t index) noexcept;

 private:
  // Of what is expected: matrices that were not in memory then.
  std::map<std::uint64_t, std::vector<model::TensorKey>> from_disk_;
};

}  // namespace pajamas::runtime
