#include "runtime/native/cpu/linear.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "runtime/native/cpu/aligned.h"
#include "runtime/native/cpu/rounded_rows.h"

namespace pajamas::runtime {

using weights::WeightPlane;
using weights::WeightView;

namespace {

using kernels::kChunkCols;

// Rows of weights that one task takes; a decoded chunk of them stays in the second-level cache.
constexpr std::uint64_t kTaskRows = 64;
// Up to so many activation rows, unpacking again for each is cheaper than decoding into memory.
constexpr std::size_t kFusedRows = 4;

// Columns [col, col + cols) of one row as floats. `col` is a multiple of kChunkCols, hence of every
// block.
void decode_part(const kernels::KernelTable& kernels, const WeightView& w, std::uint64_t row,
                 std::uint64_t col, std::uint64_t cols, std::span<float> out) {
  ConstPlanes part;
  thread_local std::vector<std::byte> gathered;
  for (std::size_t p = 0; p < w.encoding.planes(); ++p) {
    const WeightPlane& plane = w.planes[p];
    const std::uint64_t begin = row / w.encoding.rows_sharing(p) * plane.row_step;
    if (plane.col_step == 0) {
      part.plane[p] = plane.bytes.subspan(begin + w.encoding.plane_row_bytes(p, col),
                                          w.encoding.plane_row_bytes(p, cols));
      continue;
    }
    const std::uint64_t element = info(w.encoding.dtype).block_bytes;
    gathered.resize(cols * element);
    for (std::uint64_t c = 0; c < cols; ++c) {
      std::memcpy(gathered.data() + c * element,
                  plane.bytes.data() + begin + (col + c) * plane.col_step, element);
    }
    part.plane[p] = gathered;
  }
  kernels.decode_rows(w.encoding, part, cols, out);
}

void fused_rows(const WeightView& w, kernels::PackedDot dot, Rows x, std::uint64_t first,
                std::uint64_t last, std::span<float> out) {
  kernels::PackedRows packed{w.encoding.group_size, w.encoding.dtype, {},      {},
                             last - first,          w.cols,           nullptr, nullptr};
  for (std::size_t p = 0; p < w.encoding.planes(); ++p) {
    packed.plane_row_bytes[p] = w.planes[p].row_step;
    packed.plane[p] = w.planes[p].bytes.data() + first * packed.plane_row_bytes[p];
  }
  for (std::size_t m = 0; m < x.count; ++m) {
    packed.x = x.values.data() + m * w.cols;
    packed.out = out.data() + m * w.rows + first;
    dot(packed);
  }
}

void decoded_rows(const kernels::KernelTable& kernels, const WeightView& w, Rows x,
                  std::uint64_t first, std::uint64_t last, std::span<float> out) {
  thread_local FloatBuffer tile;
  tile.resize(kTaskRows * kChunkCols);
  for (std::uint64_t col = 0; col < w.cols; col += kChunkCols) {
    const std::uint64_t cols = std::min<std::uint64_t>(kChunkCols, w.cols - col);
    for (std::uint64_t row = first; row < last; ++row) {
      decode_part(kernels, w, row, col, cols,
                  std::span(tile).subspan((row - first) * kChunkCols, cols));
    }
    kernels.math->dot_tile({.w = tile.data(),
                            .w_rows = last - first,
                            .w_stride = kChunkCols,
                            .x = x.values.data() + col,
                            .x_rows = x.count,
                            .x_stride = w.cols,
                            .cols = cols,
                            .accumulate = col != 0,
                            .out = out.data() + first,
                            .out_stride = w.rows});
  }
}

bool is_transposed(const WeightView& w) {
  return std::ranges::any_of(w.planes, [](const WeightPlane& p) { return p.col_step != 0; });
}

// The form of a product of whole numbers, group 0 where there is none.
kernels::Int8Form int8_form(const Processor& processor, const WeightView& w) {
  if (processor.int8 == nullptr || is_transposed(w)) return {.group = 0};
  return processor.int8->form(w.encoding, w.cols);
}

kernels::Int8Weights rows_at(const WeightView& w, std::uint64_t first, std::uint64_t last) {
  kernels::Int8Weights rows{w.encoding, {}, {}, last - first, w.cols};
  for (std::size_t p = 0; p < w.encoding.planes(); ++p) {
    rows.row_step[p] = w.planes[p].row_step;
    rows.plane[p] = w.planes[p].bytes.data() + first * rows.row_step[p];
  }
  return rows;
}

void int8_rows(const kernels::Int8Kernels& kernels, const WeightView& w, const RoundedRows& x,
               std::uint64_t first, std::uint64_t last, std::span<float> out) {
  const auto out_at = [&](std::size_t tile, std::uint64_t row) {
    return kernels::Int8Out{out.data() + x.first_row(tile) * w.rows + row, w.rows};
  };
  if (x.is_direct()) {
    for (std::size_t t = 0; t < x.tiles(); ++t) {
      kernels.multiply(rows_at(w, first, last), x.tile(t), out_at(t, first));
    }
    return;
  }
  thread_local ByteBuffer panel;
  panel.resize(kernels.panel_bytes(x.form(), w.cols));
  for (std::uint64_t row = first; row < last; row += kernels.panel_rows) {
    const std::uint64_t end = std::min<std::uint64_t>(row + kernels.panel_rows, last);
    kernels.unpack(rows_at(w, row, end), panel.data());
    for (std::size_t t = 0; t < x.tiles(); ++t) {
      kernels.multiply_panel(x.form(), panel.data(), end - row, w.cols, x.tile(t), out_at(t, row));
    }
  }
}

}  // namespace

class LinearRun {
 public:
  LinearRun(const Processor& processor, std::span<const LinearJob> jobs, LinearScratch& scratch)
      : processor_(processor), jobs_(jobs), scratch_(scratch) {}

  void run() {
    const std::uint64_t tasks = count_tasks();
    round_rows();
    processor_.pool.for_ranges(tasks, 1, [&](std::uint64_t first, std::uint64_t last) {
      const std::vector<std::uint64_t>& ends = scratch_.ends_;
      auto j = static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), first) -
                                        ends.begin());
      for (std::uint64_t task = first; task < last; ++task) {
        while (task >= ends[j]) ++j;
        const std::uint64_t row = (task - (j == 0 ? 0 : ends[j - 1])) * kTaskRows;
        multiply(scratch_.products_[j], row, std::min(row + kTaskRows, jobs_[j].w.rows));
      }
    });
  }

 private:
  std::uint64_t count_tasks() {
    std::uint64_t tasks = 0;
    scratch_.ends_.clear();
    for (const LinearJob& job : jobs_) {
      PJ_CHECK(job.x.values.size() == job.x.count * job.w.cols &&
               job.out.size() == job.x.count * job.w.rows);
      tasks += (job.w.rows + kTaskRows - 1) / kTaskRows;
      scratch_.ends_.push_back(tasks);
    }
    return tasks;
  }

  // Rounds what the products need, each input once.
  void round_rows() {
    scratch_.products_.clear();
    std::size_t used = 0;  // of scratch_.rounded_
    for (const LinearJob& job : jobs_) {
      LinearScratch::Product& product = scratch_.products_.emplace_back();
      product.job = &job;
      const kernels::Int8Form form = int8_form(processor_, job.w);
      if (form.group == 0 || job.x.count == 0) continue;
      const float* x = job.x.values.data();
      const auto end = scratch_.rounded_.begin() + static_cast<std::ptrdiff_t>(used);
      auto same = std::find_if(scratch_.rounded_.begin(), end,
                               [&](const RoundedRows& r) { return r.is_of(x, job.x.count, form); });
      if (same == end) {
        if (used == scratch_.rounded_.size()) scratch_.rounded_.emplace_back();
        same = scratch_.rounded_.begin() + static_cast<std::ptrdiff_t>(used++);
        same->begin(*processor_.int8, form, x, job.x.count, job.w.cols);
      }
      product.rounded = &*same;
    }
    auto& tiles = scratch_.tiles_;
    tiles.clear();
    for (std::size_t r = 0; r < used; ++r) {
      RoundedRows& rows = scratch_.rounded_[r];
      for (std::size_t t = 0; t < rows.tiles(); ++t) tiles.emplace_back(&rows, t);
    }
    processor_.pool.for_ranges(tiles.size(), 4, [&](std::uint64_t first, std::uint64_t last) {
      for (std::uint64_t t = first; t < last; ++t) tiles[t].first->round_tile(tiles[t].second);
    });
  }

  // Rows [first, last) of one product; `last - first` is at most kTaskRows.
  void multiply(const LinearScratch::Product& product, std::uint64_t first,
                std::uint64_t last) const {
    const LinearJob& job = *product.job;
    const WeightView& w = job.w;
    if (product.rounded != nullptr) {
      return int8_rows(*processor_.int8, w, *product.rounded, first, last, job.out);
    }
    const kernels::PackedDot fused = job.x.count <= kFusedRows && w.planes[0].col_step == 0
                                         ? processor_.kernels.math->packed_dot(w.encoding, w.cols)
                                         : nullptr;
    if (fused != nullptr) {
      fused_rows(w, fused, job.x, first, last, job.out);
    } else {
      decoded_rows(processor_.kernels, w, job.x, first, last, job.out);
    }
  }

  const Processor& processor_;
  std::span<const LinearJob> jobs_;
  LinearScratch& scratch_;
};

void linear(const Processor& processor, std::span<const LinearJob> jobs, LinearScratch& scratch) {
  LinearRun(processor, jobs, scratch).run();
}

void linear(const Processor& processor, const WeightView& w, Rows x, std::span<float> out) {
  const LinearJob job{w, x, out};
  LinearScratch scratch;
  linear(processor, std::span(&job, 1), scratch);
}

void decode_row(const kernels::KernelTable& kernels, const WeightView& w, std::uint64_t row,
                std::span<float> out) {
  PJ_CHECK(row < w.rows && out.size() == w.cols);
  decode_part(kernels, w, row, 0, w.cols, out);
}

}  // namespace pajamas::runtime
