// Causal attention of one query row over the positions of its session.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/math.h"
#include "runtime/native/kv_cache.h"

namespace pajamas::runtime {

struct AttentionHead {
  const KvCache& cache;
  std::uint64_t layer;
  std::uint64_t kv_head;
  std::uint32_t position;  // of the query; it sees positions 0 to this one
  std::size_t group;       // query heads that share the key and value head
  std::size_t head_dim;
};

// `queries` and `out` are [group][head_dim]. Depends on nothing but the arguments' values.
void attend(const kernels::MathKernels& math, const AttentionHead& head,
            std::span<const float> queries, std::span<float> out);

}  // namespace pajamas::runtime
