// The float functions for NEON, which every 64-bit ARM processor has.
#if defined(__aarch64__)
#include <arm_neon.h>

#include <cstddef>

#include "kernels/math_tables.h"

namespace pajamas::kernels {
namespace neon {
namespace {

using Vector = float32x4_t;
constexpr std::size_t kLanes = 4;
constexpr int kTileW = 4;  // 16 sums, 4 weights and 1 activation in 32 registers
constexpr int kTileX = 4;
constexpr int kSumV = 4;  // 16 sums of four rows, 4 values and 1 weight

inline Vector zero() noexcept { return vdupq_n_f32(0); }
inline Vector splat(float value) noexcept { return vdupq_n_f32(value); }
inline Vector load(const float* from) noexcept { return vld1q_f32(from); }
inline Vector load_first(const float* from, std::size_t count) noexcept {
  float lanes[kLanes] = {};
  for (std::size_t i = 0; i < count; ++i) lanes[i] = from[i];
  return load(lanes);
}
inline void store(float* to, Vector v) noexcept { vst1q_f32(to, v); }
inline Vector multiply_add(Vector a, Vector b, Vector c) noexcept { return vfmaq_f32(c, a, b); }
inline float add_lanes(Vector v) noexcept { return vaddvq_f32(v); }

#include "kernels/math_dot.inl"

// Decoding first is the way for every encoding so far.
PackedDot no_packed_dot(const Encoding&, std::size_t) noexcept { return nullptr; }

}  // namespace
}  // namespace neon

const MathKernels kNeonMath = {.dot_tile = neon::dot_tile,
                               .weighted_sum = neon::weighted_sum,
                               .widen_f16 = widen_f16,
                               .widen_bf16 = widen_bf16,
                               .widen_q8_0 = widen_q8_0,
                               .packed_dot = neon::no_packed_dot};

}  // namespace pajamas::kernels
#endif
