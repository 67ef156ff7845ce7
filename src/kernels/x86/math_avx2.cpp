// The float functions for AVX2 with FMA. As in avx2.cpp, nothing compiled for it can be linked into
// anything else.
#if defined(__x86_64__)
#include <immintrin.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "codec/formats.h"
#include "kernels/math_tables.h"
#include "tensor/affine.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

namespace pajamas::kernels {
namespace avx2 {
namespace {

using Vector = __m256;
constexpr std::size_t kLanes = 8;
constexpr int kTileW = 3;  // 12 sums, 3 weights and 1 activation in 16 registers
constexpr int kTileX = 4;
constexpr int kSumV = 2;  // 8 sums of four rows, 2 values and 1 weight

inline Vector zero() noexcept { return _mm256_setzero_ps(); }
inline Vector splat(float value) noexcept { return _mm256_set1_ps(value); }
inline Vector load(const float* from) noexcept { return _mm256_loadu_ps(from); }
inline Vector load_first(const float* from, std::size_t count) noexcept {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lanes);
  return _mm256_maskload_ps(from, mask);
}
inline void store(float* to, Vector v) noexcept { _mm256_storeu_ps(to, v); }
inline Vector add(Vector a, Vector b) noexcept { return _mm256_add_ps(a, b); }
inline Vector multiply(Vector a, Vector b) noexcept { return _mm256_mul_ps(a, b); }
inline Vector multiply_add(Vector a, Vector b, Vector c) noexcept {
  return _mm256_fmadd_ps(a, b, c);
}
inline float add_lanes(Vector v) noexcept {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
template <bool kSigned>
inline Vector load_codes(const std::uint8_t* from) noexcept {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
  return _mm256_cvtepi32_ps(kSigned ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes));
}
inline Vector load_halves(const std::byte* from) noexcept {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
inline Vector load_bfloats(const std::byte* from) noexcept {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

#include "kernels/math_dot.inl"
// Use the above.
#include "kernels/x86/math_packed.inl"
#include "kernels/x86/math_widen.inl"

}  // namespace
}  // namespace avx2

const MathKernels kAvx2Math = {.dot_tile = avx2::dot_tile,
                               .weighted_sum = avx2::weighted_sum,
                               .widen_f16 = avx2::widen_f16,
                               .widen_bf16 = avx2::widen_bf16,
                               .widen_q8_0 = avx2::widen_q8_0,
                               .packed_dot = avx2::packed_dot};

}  // namespace pajamas::kernels

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
