// The products in plain C++: sixteen sums side by side, as the widest registers keep them.
#include "kernels/math_tables.h"

namespace pajamas::kernels {
namespace {

constexpr std::size_t kLanes = 16;

float dot(const float* w, const float* x, std::size_t cols) noexcept {
  float sums[kLanes] = {};
  std::size_t c = 0;
  for (; c + kLanes <= cols; c += kLanes) {
    for (std::size_t i = 0; i < kLanes; ++i) sums[i] += w[c + i] * x[c + i];
  }
  for (std::size_t i = 0; c + i < cols; ++i) sums[i] += w[c + i] * x[c + i];
  for (std::size_t width = kLanes / 2; width > 0; width /= 2) {
    for (std::size_t i = 0; i < width; ++i) sums[i] += sums[i + width];
  }
  return sums[0];
}

void dot_tile(const DotTile& t) noexcept {
  for (std::size_t m = 0; m < t.x_rows; ++m) {
    for (std::size_t n = 0; n < t.w_rows; ++n) {
      float& out = t.out[m * t.out_stride + n];
      const float sum = dot(t.w + n * t.w_stride, t.x + m * t.x_stride, t.cols);
      out = t.accumulate ? out + sum : sum;
    }
  }
}

void weighted_sum(const WeightedSum& s) noexcept {
  if (!s.accumulate) {
    for (std::size_t d = 0; d < s.size; ++d) s.out[d] = 0;
  }
  for (std::size_t j = 0; j < s.count; ++j) {
    const float* row = s.values + j * s.stride;
    for (std::size_t d = 0; d < s.size; ++d) s.out[d] += s.weights[j] * row[d];
  }
}

PackedDot no_packed_dot(const Encoding&, std::size_t) noexcept { return nullptr; }

}  // namespace

const MathKernels kRefMath = {
    .dot_tile = dot_tile, .weighted_sum = weighted_sum, .packed_dot = no_packed_dot};

}  // namespace pajamas::kernels
