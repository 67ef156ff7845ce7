// The float functions for AVX-512. As in avx512.cpp, nothing compiled for it can be linked into
// anything else.
#if defined(__x86_64__)
#if !defined(__clang__)
// g++ 12's own header reads a variable that it leaves undefined on purpose.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "codec/formats.h"
#include "kernels/math_tables.h"
#include "tensor/affine.h"

#if defined(__clang__)
#pragma clang attribute push(                                                             \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx2,fma,f16c"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx2,fma,f16c")
#endif

namespace pajamas::kernels {
namespace avx512 {
namespace {

#define PJ_CODE_TABLES 1
using Vector = __m512;
constexpr std::size_t kLanes = 16;
constexpr int kTileW = 4;  // 24 sums, 4 weights and 1 activation in 32 registers
constexpr int kTileX = 6;
constexpr int kSumV = 4;  // 16 sums of four rows, 4 values and 1 weight

inline Vector zero() noexcept { return _mm512_setzero_ps(); }
inline Vector splat(float value) noexcept { return _mm512_set1_ps(value); }
inline Vector load(const float* from) noexcept { return _mm512_loadu_ps(from); }
inline Vector load_first(const float* from, std::size_t count) noexcept {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1u), from);
}
inline void store(float* to, Vector v) noexcept { _mm512_storeu_ps(to, v); }
inline Vector add(Vector a, Vector b) noexcept { return _mm512_add_ps(a, b); }
inline Vector multiply(Vector a, Vector b) noexcept { return _mm512_mul_ps(a, b); }
inline Vector multiply_add(Vector a, Vector b, Vector c) noexcept {
  return _mm512_fmadd_ps(a, b, c);
}
inline float add_lanes(Vector v) noexcept {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
template <bool kSigned>
inline Vector load_codes(const std::uint8_t* from) noexcept {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return _mm512_cvtepi32_ps(kSigned ? _mm512_cvtepi8_epi32(bytes) : _mm512_cvtepu8_epi32(bytes));
}
inline Vector load_halves(const std::byte* from) noexcept {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
inline Vector load_bfloats(const std::byte* from) noexcept {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

#include "kernels/math_dot.inl"
// Use the above.
#include "kernels/x86/math_packed.inl"
#include "kernels/x86/math_widen.inl"

}  // namespace
}  // namespace avx512

const MathKernels kAvx512Math = {.dot_tile = avx512::dot_tile,
                                 .weighted_sum = avx512::weighted_sum,
                                 .widen_f16 = avx512::widen_f16,
                                 .widen_bf16 = avx512::widen_bf16,
                                 .widen_q8_0 = avx512::widen_q8_0,
                                 .packed_dot = avx512::packed_dot};

}  // namespace pajamas::kernels

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
