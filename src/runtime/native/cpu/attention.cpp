#include "runtime/native/cpu/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/native/cpu/kv_rows.h"
#include "runtime/native/cpu/kv_type.h"

namespace pajamas::runtime {
namespace {

constexpr std::uint32_t kPositions = KvBlock::kPositions;
// Positions that are decoded at a time, so that what comes out stays in the first-level cache.
constexpr std::uint32_t kDecoded = 32;
static_assert(kPositions % kDecoded == 0 && kRunPositions % kPositions == 0);

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
// multiples of their size, so a row is summed in the same pieces whatever tile it is in.
class TileAttention {
 public:
  TileAttention(const kernels::KernelTable& kernels, const AttentionTile& tile)
      : kernels_(kernels),
        tile_(tile),
        row_(tile.cache.row()),
        begin_(first_seen(tile.position, tile.window)),
        end_(tile.position + static_cast<std::uint32_t>(tile.rows)),
        scale_(static_cast<float>(1.0 / std::sqrt(static_cast<double>(row_.dim)))) {}

  // Numbers of the runs that any row sees: [first, end).
  std::uint32_t first_run() const noexcept { return begin_ / kRunPositions; }
  std::uint32_t end_run() const noexcept { return (end_ - 1) / kRunPositions + 1; }

  void gather(std::uint32_t run, const float* queries, std::size_t stride, Gathered& out) const {
    thread_local FloatBuffer x;        // [rows][group][dim]
    thread_local FloatBuffer scores;   // [rows][group][kPositions]
    thread_local FloatBuffer decoded;  // keys, then values, of kDecoded positions
    const std::size_t width = tile_.group * row_.dim;
    x.resize(tile_.rows * width);
    scores.resize(tile_.rows * tile_.group * kPositions);
    for (std::size_t r = 0; r < tile_.rows; ++r) {
      std::copy_n(queries + r * stride, width, x.data() + r * width);
    }
    turn(x);
    out.reset(tile_.rows * tile_.group, row_.dim);
    add_sinks(run, out);
    const std::uint32_t last = std::min(end_, (run + 1) * kRunPositions);
    for (std::uint32_t position = std::max(begin_, run * kRunPositions); position < last;) {
      const Part part{position, std::min(last, position / kPositions * kPositions + kPositions)};
      multiply_keys(part, x, scores, decoded);
      for (std::size_t r = 0; r < tile_.rows; ++r) weigh(r, part, scores, out);
      add_values(part, scores, decoded, out);
      position = part.last;
    }
  }

  void finish(Gathered& gathered, float* out, std::size_t stride) const {
    for (std::size_t q = 0; q < gathered.queries(); ++q) {
      const auto share = static_cast<float>(1.0 / gathered.sum(q).weight);
      float* head = out + q / tile_.group * stride + q % tile_.group * row_.dim;
      const float* mixed = gathered.mixed(q);
      for (std::size_t c = 0; c < row_.dim; ++c) head[c] = mixed[c] * share;
    }
    for (std::size_t r = 0; r < tile_.rows; ++r) {
      turn({out + r * stride, tile_.group * row_.dim});
    }
  }

 private:
  // Positions of one block: [first, last).
  struct Part {
    std::uint32_t first;
    std::uint32_t last;
  };

  std::uint32_t position_of(std::size_t r) const noexcept {
    return tile_.position + static_cast<std::uint32_t>(r);
  }
  // What row `r` sees of the part; first >= last where that is nothing.
  Part seen(std::size_t r, const Part& part) const noexcept {
    return {std::max(part.first, first_seen(position_of(r), tile_.window)),
            std::min(part.last, position_of(r) + 1)};
  }

  // Sinks are seen with the first run that a row sees.
  void add_sinks(std::uint32_t run, Gathered& out) const {
    if (tile_.sinks.empty()) return;
    for (std::size_t r = 0; r < tile_.rows; ++r) {
      if (first_seen(position_of(r), tile_.window) / kRunPositions != run) continue;
      for (std::size_t g = 0; g < tile_.group; ++g) {
        if (tile_.sinks[g] == -std::numeric_limits<float>::infinity()) continue;
        out.sum(r * tile_.group + g) = {tile_.sinks[g], 1};
      }
    }
  }

  // Rows of floats, row_.stored apart; decoded into `buffer` unless they are floats already.
  const float* floats(std::span<const std::byte> rows, std::size_t count,
                      FloatBuffer& buffer) const {
    if (row_.type == KvType::kF32) return reinterpret_cast<const float*>(rows.data());
    buffer.resize(kDecoded * row_.stored);
    decode_kv(*kernels_.math, row_, rows.first(count * row_.bytes),
              std::span(buffer).first(count * row_.stored));
    return buffer.data();
  }

  void multiply_keys(const Part& part, std::span<const float> x, std::span<float> scores,
                     FloatBuffer& decoded) const {
    for (std::uint32_t at = part.first; at < part.last; at += kDecoded) {
      const std::size_t count = std::min(kDecoded, part.last - at);
      dot_long(
          *kernels_.math,
          {.w = floats(stored_keys(tile_.cache, tile_.layer, tile_.kv_head, at), count, decoded),
           .w_rows = count,
           .w_stride = row_.stored,
           .x = x.data(),
           .x_rows = tile_.rows * tile_.group,
           .x_stride = row_.dim,
           .cols = 0,
           .accumulate = false,
           .out = scores.data() + (at - part.first),
           .out_stride = kPositions},
          row_.dim);
    }
  }

  // Makes weights of the scores that row `r` has in the part.
  void weigh(std::size_t r, const Part& part, std::span<float> scores, Gathered& out) const {
    const Part own = seen(r, part);
    if (own.first >= own.last) return;
    for (std::size_t q = r * tile_.group; q < (r + 1) * tile_.group; ++q) {
      const std::span<float> own_scores =
          scores.subspan(q * kPositions + (own.first - part.first), own.last - own.first);
      AttentionSum& sum = out.sum(q);
      const float top = std::max(sum.top, *std::ranges::max_element(own_scores) * scale_);
      const float kept = std::exp(sum.top - top);  // 1 where the top stays, 0 at the start
      sum.weight =
          sum.weight * static_cast<double>(kept) + kernels::exp_sum(own_scores, scale_, top);
      sum.top = top;
      if (kept == 1.0f) continue;
      float* mixed = out.mixed(q);
      for (std::size_t c = 0; c < row_.dim; ++c) mixed[c] *= kept;
    }
  }

  // Adds the part's values under their weights, in the order of positions.
  void add_values(const Part& part, std::span<const float> weights, FloatBuffer& decoded,
                  Gathered& out) const {
    for (std::uint32_t at = part.first; at < part.last; at += kDecoded) {
      const std::uint32_t end = std::min(at + kDecoded, part.last);
      const float* values =
          floats(stored_values(tile_.cache, tile_.layer, tile_.kv_head, at), end - at, decoded);
      for (std::size_t r = 0; r < tile_.rows; ++r) {
        const Part own = seen(r, {at, end});
        if (own.first >= own.last) continue;
        const std::size_t q = r * tile_.group;
        kernels_.math->weighted_sum(
            {.weights = weights.data() + q * kPositions + (own.first - part.first),
             .weights_stride = kPositions,
             .values = values + (own.first - at) * row_.stored,
             .count = own.last - own.first,
             .stride = row_.stored,
             .size = row_.dim,
             .sums = tile_.group,
             .out = out.mixed(q),
             .out_stride = row_.dim});
      }
    }
  }

  // Into the space of stored rows and, since the transform undoes itself, out of it.
  void turn(std::span<float> heads) const {
    if (!info(row_.type).rotated) return;
    for (std::size_t i = 0; i < heads.size(); i += row_.dim) {
      kernels::hadamard(heads.subspan(i, row_.dim));
    }
  }

  const kernels::KernelTable& kernels_;
  const AttentionTile& tile_;
  const KvRow& row_;
  std::uint32_t begin_;  // what the first row sees, to
  std::uint32_t end_;    // the end of what the last one sees
  float scale_;
};

// Runs of few tiles, a wave of them at a time: all side by side, then merged in order.
class SpreadRuns {
 public:
  SpreadRuns(const Processor& processor, std::span<const AttentionTask> tasks, std::size_t stride,
             AttentionScratch& scratch)
      : processor_(processor), stride_(stride), tasks_(tasks), scratch_(scratch) {
    at_least(scratch.sums, tasks.size());
    for (std::size_t task = 0; task < tasks.size(); ++task) {
      const AttentionTile& tile = tasks[task].tile;
      scratch.sums[task].reset(tile.rows * tile.group, tile.cache.row().dim);
      runs_ = std::max(runs_, of(task).end_run() - of(task).first_run());
    }
    const auto most = static_cast<std::size_t>(processor.pool.threads()) * kPiecesAThread;
    wave_ = std::min<std::size_t>(runs_, (most + tasks.size() - 1) / tasks.size());
    at_least(scratch.pieces, wave_ * tasks.size());
  }

  void run() {
    const std::size_t pieces = wave_ * tasks_.size();
    for (std::uint32_t first = 0; first < runs_; first += static_cast<std::uint32_t>(wave_)) {
      processor_.pool.for_ranges(pieces, 1, [&](std::uint64_t piece, std::uint64_t) {
        const std::size_t task = piece / wave_;
        const TileAttention tile = of(task);
        const std::uint32_t run =
            tile.first_run() + first + static_cast<std::uint32_t>(piece % wave_);
        if (run >= tile.end_run()) {
          scratch_.pieces[piece].reset(scratch_.sums[task].queries(), 0);
        } else {
          tile.gather(run, tasks_[task].queries, stride_, scratch_.pieces[piece]);
        }
      });
      processor_.pool.for_ranges(tasks_.size(), 1, [&](std::uint64_t task, std::uint64_t) {
        for (std::size_t w = 0; w < wave_; ++w) {
          scratch_.sums[task].merge(scratch_.pieces[task * wave_ + w]);
        }
      });
    }
    for (std::size_t task = 0; task < tasks_.size(); ++task) {
      of(task).finish(scratch_.sums[task], tasks_[task].out, stride_);
    }
  }

 private:
  static constexpr std::size_t kPiecesAThread = 4;

  // Those that are there keep their memory.
  static void at_least(std::vector<Gathered>& all, std::size_t count) {
    if (all.size() < count) all.resize(count);
  }
  TileAttention of(std::size_t task) const noexcept {
    return {processor_.kernels, tasks_[task].tile};
  }

  const Processor& processor_;
  std::size_t stride_;
  std::span<const AttentionTask> tasks_;
  AttentionScratch& scratch_;
  std::uint32_t runs_ = 0;  // of the task that has most
  std::size_t wave_ = 0;    // runs of each task at a time
};

}  // namespace

void attend(const kernels::KernelTable& kernels, const AttentionTile& tile, const float* queries,
            float* out, std::size_t stride) {
  thread_local Gathered sums, more;
  const TileAttention attention(kernels, tile);
  attention.gather(attention.first_run(), queries, stride, sums);
  for (std::uint32_t run = attention.first_run() + 1; run < attention.end_run(); ++run) {
    attention.gather(run, queries, stride, more);
    sums.merge(more);
  }
  attention.finish(sums, out, stride);
}

void attend(const Processor& processor, std::span<const AttentionTask> tasks, std::size_t stride,
            AttentionScratch& scratch) {
  // A few tasks for each thread even out.
  const auto threads = static_cast<std::size_t>(processor.pool.threads());
  const bool long_ones = std::ranges::any_of(tasks, [](const AttentionTask& task) {
    return first_seen(task.tile.position, task.tile.window) / kRunPositions !=
           (task.tile.position + task.tile.rows - 1) / kRunPositions;
  });
  if (threads > 1 && tasks.size() < 4 * threads && long_ones) {
    return SpreadRuns(processor, tasks, stride, scratch).run();
  }
  processor.pool.for_ranges(tasks.size(), 1, [&](std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t t = first; t < last; ++t) {
      attend(processor.kernels, tasks[t].tile, tasks[t].queries, tasks[t].out, stride);
    }
  });
}

}  // namespace pajamas::runtime
