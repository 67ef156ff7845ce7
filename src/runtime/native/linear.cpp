#include "runtime/native/linear.h"

#include <algorithm>

#include "base/error.h"
#include "runtime/native/buffer.h"

namespace pajamas::runtime {
namespace {

using kernels::kChunkCols;

// Rows of weights that one task takes; a decoded chunk of them stays in the second-level cache.
constexpr std::uint64_t kTaskRows = 64;
// Up to so many activation rows, unpacking again for each is cheaper than decoding into memory.
constexpr std::size_t kFusedRows = 4;

// Columns [col, col + cols) of one row. `col` is a multiple of kChunkCols, hence of every block.
ConstPlanes part_of_row(const WeightView& w, std::uint64_t row, std::uint64_t col,
                        std::uint64_t cols) {
  ConstPlanes part;
  for (std::size_t p = 0; p < w.encoding.planes(); ++p) {
    const std::uint64_t begin =
        row * w.encoding.plane_row_bytes(p, w.cols) + w.encoding.plane_row_bytes(p, col);
    part.plane[p] = w.planes.plane[p].subspan(begin, w.encoding.plane_row_bytes(p, cols));
  }
  return part;
}

void fused_rows(const WeightView& w, kernels::PackedDot dot, Rows x, std::uint64_t first,
                std::uint64_t last, std::span<float> out) {
  kernels::PackedRows packed{w.encoding.group_size, w.encoding.dtype, {},      {},
                             last - first,          w.cols,           nullptr, nullptr};
  for (std::size_t p = 0; p < w.encoding.planes(); ++p) {
    packed.plane_row_bytes[p] = w.encoding.plane_row_bytes(p, w.cols);
    packed.plane[p] = w.planes.plane[p].data() + first * packed.plane_row_bytes[p];
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
      kernels.decode_rows(w.encoding, part_of_row(w, row, col, cols), cols,
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

}  // namespace

void linear(const Device& device, const WeightView& w, Rows x, std::span<float> out) {
  PJ_CHECK(x.values.size() == x.count * w.cols && out.size() == x.count * w.rows);
  const kernels::PackedDot fused =
      x.count <= kFusedRows ? device.kernels.math->packed_dot(w.encoding, w.cols) : nullptr;
  device.pool.for_ranges(w.rows, kTaskRows, [&](std::uint64_t first, std::uint64_t last) {
    if (fused != nullptr) {
      fused_rows(w, fused, x, first, last, out);
    } else {
      decoded_rows(device.kernels, w, x, first, last, out);
    }
  });
}

void decode_row(const Device& device, const WeightView& w, std::uint64_t row,
                std::span<float> out) {
  PJ_CHECK(row < w.rows && out.size() == w.cols);
  device.kernels.decode_rows(w.encoding, part_of_row(w, row, 0, w.cols), w.cols, out);
}

}  // namespace pajamas::runtime
