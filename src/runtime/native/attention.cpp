#include "runtime/native/attention.h"

#include <algorithm>
#include <cmath>

namespace pajamas::runtime {
namespace {

// Products longer than a chunk are summed chunk by chunk, as everywhere.
void dot_long(const kernels::MathKernels& math, kernels::DotTile tile, std::size_t cols) {
  for (std::size_t c = 0; c < cols; c += kernels::kChunkCols) {
    tile.cols = std::min(kernels::kChunkCols, cols - c);
    tile.accumulate = c != 0;
    math.dot_tile(tile);
    tile.w += tile.cols;
    tile.x += tile.cols;
  }
}

}  // namespace

void attend(const kernels::MathKernels& math, const AttentionHead& head,
            std::span<const float> queries, std::span<float> out) {
  constexpr std::size_t kBlock = KvBlock::kPositions;
  const std::size_t seen = std::size_t{head.position} + 1;
  const std::size_t begin = head.cache.head_offset(head.kv_head);
  thread_local FloatBuffer scores;  // [group][seen]
  scores.resize(head.group * seen);
  for (std::size_t first = 0; first < seen; first += kBlock) {
    const KvBlock& block = head.cache.block(head.layer, static_cast<std::uint32_t>(first));
    dot_long(math,
             {.w = block.keys.data() + begin,
              .w_rows = std::min(kBlock, seen - first),
              .w_stride = head.head_dim,
              .x = queries.data(),
              .x_rows = head.group,
              .x_stride = head.head_dim,
              .cols = 0,
              .accumulate = false,
              .out = scores.data() + first,
              .out_stride = seen},
             head.head_dim);
  }
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(head.head_dim)));
  for (std::size_t g = 0; g < head.group; ++g) {
    const std::span<float> row = std::span(scores).subspan(g * seen, seen);
    for (float& score : row) score *= scale;
    kernels::softmax(row);
    for (std::size_t first = 0; first < seen; first += kBlock) {
      const KvBlock& block = head.cache.block(head.layer, static_cast<std::uint32_t>(first));
      math.weighted_sum({.weights = row.data() + first,
                         .values = block.values.data() + begin,
                         .count = std::min(kBlock, seen - first),
                         .stride = head.head_dim,
                         .size = head.head_dim,
                         .accumulate = first != 0,
                         .out = out.data() + g * head.head_dim});
    }
  }
}

}  // namespace pajamas::runtime
