#include "runtime/native/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace pajamas::runtime {
namespace {

constexpr std::size_t kTileRows = 16;
constexpr std::size_t kTileScores = std::size_t{1} << 20;

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

// One tile's work. Queries, scores and results stand in the order [rows][group].
class TileAttention {
 public:
  TileAttention(const kernels::KernelTable& kernels, const AttentionTile& tile)
      : kernels_(kernels),
        tile_(tile),
        row_(tile.cache.row()),
        begin_(first_seen(tile.position, tile.window)),
        end_(tile.position + static_cast<std::uint32_t>(tile.rows)),
        span_(end_ - begin_) {}

  void run(const float* queries, float* out, std::size_t stride) const {
    thread_local FloatBuffer scores;  // [rows][group][span]
    thread_local FloatBuffer decoded;
    scores.resize(tile_.rows * tile_.group * span_);
    multiply_keys(queries, stride, scores, decoded);
    for (std::size_t r = 0; r < tile_.rows; ++r) {
      for (std::size_t g = 0; g < tile_.group; ++g) weigh(r, g, scores);
    }
    mix_values(scores, out, stride, decoded);
  }

 private:
  // Positions of one block: [first, last).
  struct Part {
    std::uint32_t first;
    std::uint32_t last;
  };
  Part part_at(std::uint32_t position) const {
    constexpr std::uint32_t kBlock = KvBlock::kPositions;
    return {position, std::min(end_, position / kBlock * kBlock + kBlock)};
  }

  // Rows of floats, row_.stored apart; decoded into `buffer` unless they are floats already.
  const float* floats(std::span<const std::byte> rows, const Part& part,
                      FloatBuffer& buffer) const {
    if (row_.type == KvType::kF32) return reinterpret_cast<const float*>(rows.data());
    const std::size_t count = part.last - part.first;
    buffer.resize(KvBlock::kPositions * row_.stored);
    decode_kv(row_, rows.first(count * row_.bytes), std::span(buffer).first(count * row_.stored));
    return buffer.data();
  }

  void multiply_keys(const float* queries, std::size_t stride, FloatBuffer& scores,
                     FloatBuffer& decoded) const {
    thread_local FloatBuffer x;  // [rows][group][dim]
    const std::size_t width = tile_.group * row_.dim;
    x.resize(tile_.rows * width);
    for (std::size_t r = 0; r < tile_.rows; ++r) {
      std::copy_n(queries + r * stride, width, x.data() + r * width);
    }
    turn(x);
    for (std::uint32_t position = begin_; position < end_;) {
      const Part part = part_at(position);
      dot_long(*kernels_.math,
               {.w = floats(tile_.cache.keys(tile_.layer, tile_.kv_head, position), part, decoded),
                .w_rows = part.last - part.first,
                .w_stride = row_.stored,
                .x = x.data(),
                .x_rows = tile_.rows * tile_.group,
                .x_stride = row_.dim,
                .cols = 0,
                .accumulate = false,
                .out = scores.data() + (part.first - begin_),
                .out_stride = span_},
               row_.dim);
      position = part.last;
    }
  }

  // Into the space of stored rows and, since the transform undoes itself, out of it.
  void turn(std::span<float> heads) const {
    if (!info(row_.type).rotated) return;
    for (std::size_t i = 0; i < heads.size(); i += row_.dim) {
      kernels::hadamard(heads.subspan(i, row_.dim));
    }
  }

  // Turns the scores of one query into weights.
  void weigh(std::size_t r, std::size_t g, std::span<float> scores) const {
    const auto position = tile_.position + static_cast<std::uint32_t>(r);
    const std::uint32_t first = first_seen(position, tile_.window);
    const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(row_.dim)));
    const std::span<float> seen =
        scores.subspan((r * tile_.group + g) * span_ + (first - begin_), position + 1 - first);
    for (float& score : seen) score *= scale;
    kernels::softmax(
        seen, tile_.sinks.empty() ? -std::numeric_limits<float>::infinity() : tile_.sinks[g]);
  }

  void mix_values(std::span<const float> scores, float* out, std::size_t stride,
                  FloatBuffer& decoded) const {
    for (std::uint32_t position = begin_; position < end_;) {
      const Part part = part_at(position);
      const float* values =
          floats(tile_.cache.values(tile_.layer, tile_.kv_head, position), part, decoded);
      for (std::size_t r = 0; r < tile_.rows; ++r)
        mix_part(r, part, values, scores, out + r * stride);
      position = part.last;
    }
    for (std::size_t r = 0; r < tile_.rows; ++r) {
      turn({out + r * stride, tile_.group * row_.dim});
    }
  }

  // Adds what row `r` sees of the part, in the order of positions.
  void mix_part(std::size_t r, const Part& part, const float* values, std::span<const float> scores,
                float* out) const {
    const auto position = tile_.position + static_cast<std::uint32_t>(r);
    const std::uint32_t seen = first_seen(position, tile_.window);
    const std::uint32_t first = std::max(part.first, seen);
    const std::uint32_t last = std::min(part.last, position + 1);
    if (first >= last) return;
    for (std::size_t g = 0; g < tile_.group; ++g) {
      kernels_.math->weighted_sum(
          {.weights = scores.data() + (r * tile_.group + g) * span_ + (first - begin_),
           .values = values + (first - part.first) * row_.stored,
           .count = last - first,
           .stride = row_.stored,
           .size = row_.dim,
           .accumulate = first != seen,
           .out = out + g * row_.dim});
    }
  }

  const kernels::KernelTable& kernels_;
  const AttentionTile& tile_;
  const KvRow& row_;
  std::uint32_t begin_;  // what the first row sees, to
  std::uint32_t end_;    // the end of what the last one sees
  std::size_t span_;
};

}  // namespace

std::size_t most_tile_rows(std::uint32_t position, std::uint64_t window,
                           std::size_t group) noexcept {
  const std::size_t seen = position + kTileRows - first_seen(position, window);
  return std::clamp<std::size_t>(kTileScores / (group * seen), 1, kTileRows);
}

void attend(const kernels::KernelTable& kernels, const AttentionTile& tile, const float* queries,
            float* out, std::size_t stride) {
  TileAttention(kernels, tile).run(queries, out, stride);
}

}  // namespace pajamas::runtime
