#include "runtime/native/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

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

// One tile's work, in one pass over the cache: every block's scores become weights against the
// greatest score so far, and what was summed up under a smaller one is scaled down. Blocks begin at
// multiples of their size, so a row is summed in the same pieces whatever tile it is in. Queries,
// scores and results stand in the order [rows][group].
class TileAttention {
 public:
  TileAttention(const kernels::KernelTable& kernels, const AttentionTile& tile)
      : kernels_(kernels),
        tile_(tile),
        row_(tile.cache.row()),
        begin_(first_seen(tile.position, tile.window)),
        end_(tile.position + static_cast<std::uint32_t>(tile.rows)),
        scale_(static_cast<float>(1.0 / std::sqrt(static_cast<double>(row_.dim)))) {}

  void run(const float* queries, float* out, std::size_t stride) const {
    thread_local FloatBuffer x;        // [rows][group][dim]
    thread_local FloatBuffer scores;   // [rows][group][kBlock]
    thread_local FloatBuffer decoded;  // keys, then values, of a block
    thread_local std::vector<Sum> sums;
    const std::size_t width = tile_.group * row_.dim;
    x.resize(tile_.rows * width);
    scores.resize(tile_.rows * tile_.group * kBlock);
    sums.clear();
    for (std::size_t r = 0; r < tile_.rows; ++r) {
      std::copy_n(queries + r * stride, width, x.data() + r * width);
      std::fill_n(out + r * stride, width, 0.0f);
      for (std::size_t g = 0; g < tile_.group; ++g) sums.push_back(first_sum(g));
    }
    turn(x);
    for (std::uint32_t position = begin_; position < end_;) {
      const Part part = part_at(position);
      multiply_keys(part, x, scores, decoded);
      const float* values =
          floats(tile_.cache.values(tile_.layer, tile_.kv_head, position), part, decoded);
      for (std::size_t r = 0; r < tile_.rows; ++r) {
        add_part(r, part, values, scores, sums, out + r * stride);
      }
      position = part.last;
    }
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const auto share = static_cast<float>(1.0 / sums[i].weight);
      float* head = out + i / tile_.group * stride + i % tile_.group * row_.dim;
      for (std::size_t c = 0; c < row_.dim; ++c) head[c] *= share;
    }
    for (std::size_t r = 0; r < tile_.rows; ++r) turn({out + r * stride, width});
  }

 private:
  static constexpr std::uint32_t kBlock = KvBlock::kPositions;

  // The greatest score of a query so far, and the sum of exp(score - top).
  struct Sum {
    float top;
    double weight;
  };
  Sum first_sum(std::size_t g) const {
    if (tile_.sinks.empty()) return {-std::numeric_limits<float>::infinity(), 0};
    return {tile_.sinks[g], tile_.sinks[g] > -std::numeric_limits<float>::infinity() ? 1.0 : 0.0};
  }

  // Positions of one block: [first, last).
  struct Part {
    std::uint32_t first;
    std::uint32_t last;
  };
  Part part_at(std::uint32_t position) const {
    return {position, std::min(end_, position / kBlock * kBlock + kBlock)};
  }

  // Rows of floats, row_.stored apart; decoded into `buffer` unless they are floats already.
  const float* floats(std::span<const std::byte> rows, const Part& part,
                      FloatBuffer& buffer) const {
    if (row_.type == KvType::kF32) return reinterpret_cast<const float*>(rows.data());
    const std::size_t count = part.last - part.first;
    buffer.resize(kBlock * row_.stored);
    decode_kv(row_, rows.first(count * row_.bytes), std::span(buffer).first(count * row_.stored));
    return buffer.data();
  }

  void multiply_keys(const Part& part, std::span<const float> x, std::span<float> scores,
                     FloatBuffer& decoded) const {
    dot_long(*kernels_.math,
             {.w = floats(tile_.cache.keys(tile_.layer, tile_.kv_head, part.first), part, decoded),
              .w_rows = part.last - part.first,
              .w_stride = row_.stored,
              .x = x.data(),
              .x_rows = tile_.rows * tile_.group,
              .x_stride = row_.dim,
              .cols = 0,
              .accumulate = false,
              .out = scores.data(),
              .out_stride = kBlock},
             row_.dim);
  }

  // Into the space of stored rows and, since the transform undoes itself, out of it.
  void turn(std::span<float> heads) const {
    if (!info(row_.type).rotated) return;
    for (std::size_t i = 0; i < heads.size(); i += row_.dim) {
      kernels::hadamard(heads.subspan(i, row_.dim));
    }
  }

  // Adds what row `r` sees of the part, in the order of positions.
  void add_part(std::size_t r, const Part& part, const float* values, std::span<float> scores,
                std::span<Sum> sums, float* out) const {
    const auto position = tile_.position + static_cast<std::uint32_t>(r);
    const std::uint32_t first = std::max(part.first, first_seen(position, tile_.window));
    const std::uint32_t last = std::min(part.last, position + 1);
    if (first >= last) return;
    for (std::size_t g = 0; g < tile_.group; ++g) {
      const std::span<float> seen =
          scores.subspan((r * tile_.group + g) * kBlock + (first - part.first), last - first);
      Sum& sum = sums[r * tile_.group + g];
      const float top = std::max(sum.top, *std::ranges::max_element(seen) * scale_);
      const float kept = std::exp(sum.top - top);  // 1 where the top stays, 0 at the start
      sum.weight = sum.weight * static_cast<double>(kept) + kernels::exp_sum(seen, scale_, top);
      sum.top = top;
      float* head = out + g * row_.dim;
      if (kept != 1.0f) {
        for (std::size_t c = 0; c < row_.dim; ++c) head[c] *= kept;
      }
      kernels_.math->weighted_sum({.weights = seen.data(),
                                   .values = values + (first - part.first) * row_.stored,
                                   .count = last - first,
                                   .stride = row_.stored,
                                   .size = row_.dim,
                                   .accumulate = true,
                                   .out = head});
    }
  }

  const kernels::KernelTable& kernels_;
  const AttentionTile& tile_;
  const KvRow& row_;
  std::uint32_t begin_;  // what the first row sees, to
  std::uint32_t end_;    // the end of what the last one sees
  float scale_;
};

}  // namespace

void attend(const kernels::KernelTable& kernels, const AttentionTile& tile, const float* queries,
            float* out, std::size_t stride) {
  TileAttention(kernels, tile).run(queries, out, stride);
}

}  // namespace pajamas::runtime
