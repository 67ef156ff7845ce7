// Whole-number products for AVX-512 with VNNI: sixteen rows a register. As in avx512.cpp, nothing
// compiled for it can be linked into anything else.
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
#include <type_traits>

#include "codec/formats.h"
#include "kernels/int8_tables.h"
#include "tensor/affine.h"
#include "tensor/convert.h"

#if defined(__clang__)
#pragma clang attribute push(                                                             \
    __attribute__((                                                                       \
        target("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vnni,avx2,fma,f16c"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vnni,avx2,fma,f16c")
#endif

namespace pajamas::kernels {
namespace avx512_vnni {
namespace {

using Word = __m512i;
using Real = __m512;
constexpr std::size_t kLanes = 16;
constexpr int kWideShift = 0;
constexpr int kPanelTile = 12;  // 12 whole sums, 12 float sums, codes and steps in 32 registers

inline Word zero_words() noexcept { return _mm512_setzero_si512(); }
inline Word words(std::uint32_t value) noexcept {
  return _mm512_set1_epi32(static_cast<int>(value));
}
inline Word words_at(const std::int32_t* from) noexcept { return _mm512_set1_epi32(*from); }
inline Word and_words(Word a, Word b) noexcept { return _mm512_and_si512(a, b); }
inline Word or_words(Word a, Word b) noexcept { return _mm512_or_si512(a, b); }
inline Word xor_words(Word a, Word b) noexcept { return _mm512_xor_si512(a, b); }
inline Word subtract_words(Word a, Word b) noexcept { return _mm512_sub_epi32(a, b); }
template <int kBits>
inline Word left(Word a) noexcept {
  return _mm512_slli_epi32(a, kBits);
}
template <int kBits>
inline Word right(Word a) noexcept {
  return _mm512_srli_epi32(a, kBits);
}
inline Word equal_or(Word a, Word b, Word equal, Word other) noexcept {
  return _mm512_mask_mov_epi32(other, _mm512_cmpeq_epi32_mask(a, b), equal);
}
inline Word look_up(const std::uint8_t* table, Word indices) noexcept {
  const __m128i entries = _mm_load_si128(reinterpret_cast<const __m128i*>(table));
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(entries), indices);
}
inline void store_words(std::byte* to, Word value) noexcept { _mm512_store_si512(to, value); }

inline Real real(float value) noexcept { return _mm512_set1_ps(value); }
inline Real real_at(const float* from) noexcept { return _mm512_set1_ps(*from); }
inline Real multiply(Real a, Real b) noexcept { return _mm512_mul_ps(a, b); }
inline Real plus(Real a, Real b) noexcept { return _mm512_add_ps(a, b); }
inline Real fused(Real a, Real b, Real c) noexcept { return _mm512_fmadd_ps(a, b, c); }
inline Real negate(Real a) noexcept { return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f)); }
inline Real as_real(Word a) noexcept { return _mm512_castsi512_ps(a); }
inline Real to_real(Word a) noexcept { return _mm512_cvtepi32_ps(a); }
inline Real low_half(Word a) noexcept { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(a)); }
inline void store_reals(std::byte* to, Real value) noexcept { _mm512_store_ps(to, value); }
inline void store_lanes(float* to, Real value, std::size_t count) noexcept {
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1u), value);
}

inline __m128i sixteen_at(const std::byte* from) noexcept {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}
// Rows r, r + 4, r + 8 and r + 12 side by side.
[[gnu::always_inline]] inline Word four_rows(const std::byte* const* rows,
                                             std::size_t offset) noexcept {
  Word all = _mm512_castsi128_si512(sixteen_at(rows[0] + offset));
  all = _mm512_inserti32x4(all, sixteen_at(rows[4] + offset), 1);
  all = _mm512_inserti32x4(all, sixteen_at(rows[8] + offset), 2);
  return _mm512_inserti32x4(all, sixteen_at(rows[12] + offset), 3);
}
[[gnu::always_inline]] inline void load_16(const std::byte* const* rows, std::size_t offset,
                                           Word (&out)[4]) noexcept {
  const Word a = four_rows(rows, offset), b = four_rows(rows + 1, offset);
  const Word c = four_rows(rows + 2, offset), d = four_rows(rows + 3, offset);
  const Word ab_low = _mm512_unpacklo_epi32(a, b), ab_high = _mm512_unpackhi_epi32(a, b);
  const Word cd_low = _mm512_unpacklo_epi32(c, d), cd_high = _mm512_unpackhi_epi32(c, d);
  out[0] = _mm512_unpacklo_epi64(ab_low, cd_low);
  out[1] = _mm512_unpackhi_epi64(ab_low, cd_low);
  out[2] = _mm512_unpacklo_epi64(ab_high, cd_high);
  out[3] = _mm512_unpackhi_epi64(ab_high, cd_high);
}

template <bool>
[[gnu::always_inline]] inline Word dot(Word sum, Word codes, const std::int8_t* q) noexcept {
  int four;
  __builtin_memcpy(&four, q, sizeof(four));
  return _mm512_dpbusd_epi32(sum, codes, _mm512_set1_epi32(four));
}

// Makes the codes of 256 columns negative where a bit is set, and adds kBias.
template <int kBias>
inline void add_signs(std::byte* codes, const std::uint64_t (&signs)[4]) noexcept {
  const Word bias = _mm512_set1_epi8(kBias);
  for (std::size_t i = 0; i < 4; ++i) {
    const Word levels = _mm512_loadu_si512(codes + 64 * i);
    const Word up = _mm512_add_epi8(levels, bias);
    _mm512_storeu_si512(codes + 64 * i, _mm512_mask_sub_epi8(up, signs[i], bias, levels));
  }
}

#include "kernels/int8_round.inl"
// Uses the above.
#include "kernels/int8_formats.inl"
#include "kernels/int8_product.inl"

bool supported(const CpuFeatures& cpu) noexcept {
  return cpu.avx512 && cpu.avx512_vnni && cpu.avx2 && cpu.fma && cpu.f16c;
}

}  // namespace
}  // namespace avx512_vnni

const Int8Kernels kAvx512VnniInt8 = {.name = "avx512-vnni",
                                     .supported = avx512_vnni::supported,
                                     .form = avx512_vnni::form_of,
                                     .round = avx512_vnni::round_activations,
                                     .multiply = avx512_vnni::multiply_direct,
                                     .panel_rows = avx512_vnni::kLanes,
                                     .panel_bytes = avx512_vnni::panel_bytes,
                                     .unpack = avx512_vnni::unpack_panel,
                                     .multiply_panel = avx512_vnni::multiply_panel};

}  // namespace pajamas::kernels

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
