// Causal attention of some consecutive query rows over the positions of their session.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/table.h"
#include "runtime/native/cpu/gathered.h"
#include "runtime/native/cpu/processor.h"
#include "runtime/native/kv_cache.h"

namespace pajamas::runtime {

// The query heads of one key and value head, in rows that lie in order without gaps: stored keys
// are decoded once for all of them.
struct AttentionTile {
  const KvCache& cache;
  std::uint64_t layer;
  std::uint64_t kv_head;
  std::uint32_t position;  // of the first row; a row sees the positions up to its own
  std::size_t rows;
  std::size_t group;             // query heads that share the key and value head
  std::uint64_t window;          // positions that a row sees, its own included; 0: all
  std::span<const float> sinks;  // [group], or empty: softmax logits of nothing
};

// The first position that a row at `position` sees.
constexpr std::uint32_t first_seen(std::uint32_t position, std::uint64_t window) noexcept {
  if (window == 0 || window > position) return 0;
  return position + 1 - static_cast<std::uint32_t>(window);
}

// Rows that a tile has at most.
inline constexpr std::size_t kTileRows = 16;
// Positions are summed in runs that begin at multiples of this, each from nothing, and the runs are
// merged in order. So runs can be computed side by side, and a row gets the same floats however
// many threads there are and whatever tile it is in.
inline constexpr std::uint32_t kRunPositions = 1024;

// Rows of `queries` and `out` lie `stride` floats apart and begin with [group][head_dim]. What a
// row gets depends on nothing but its query, its position and the cache.
void attend(const kernels::KernelTable& kernels, const AttentionTile& tile, const float* queries,
            float* out, std::size_t stride);

// What tiles gather, kept from one call to the next.
struct AttentionScratch {
  std::vector<Gathered> sums;    // of each task
  std::vector<Gathered> pieces;  // of each task, the runs of a wave
};

// The same for many tiles. Where they are too few to keep all threads busy, their runs are spread.
struct AttentionTask {
  AttentionTile tile;
  const float* queries;
  float* out;
};
void attend(const Processor& processor, std::span<const AttentionTask> tasks, std::size_t stride,
            AttentionScratch& scratch);

}  // namespace pajamas::runtime
