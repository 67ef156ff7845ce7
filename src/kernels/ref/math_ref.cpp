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
  for (std::size_t m = 0; m < s.sums; ++m) {
    float* out = s.out + m * s.out_stride;
    for (std::size_t j = 0; j < s.count; ++j) {
      const float weight = s.weights[m * s.weights_stride + j];
      const float* row = s.values + j * s.stride;
      for (std::size_t d = 0; d < s.size; ++d) out[d] += weight * row[d];
    }
  }
}

PackedDot no_packed_dot(const Encoding&, std::size_t) noexcept { return nullptr; }

}  // namespace

const MathKernels kRefMath = {.dot_tile = dot_tile,
                              .weighted_sum = weighted_sum,
                              .widen_f16 = widen_f16,
                              .widen_bf16 = widen_bf16,
                              .widen_q8_0 = widen_q8_0,
                              .packed_dot = no_packed_dot};

}  // namespace pajamas::kernels
