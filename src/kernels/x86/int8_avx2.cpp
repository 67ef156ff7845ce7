// Whole-number products for AVX2: eight rows a register. Also what AVX-512 without VNNI runs.
#if defined(__x86_64__)
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
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

namespace pajamas::kernels {
namespace avx2 {
namespace {

using Word = __m256i;
using Real = __m256;
constexpr std::size_t kLanes = 8;
// Sums of two products of bytes must fit 16 bits: codes above 128 are made signed first.
constexpr int kWideShift = 128;
constexpr int kPanelTile = 4;  // 4 whole sums, 4 float sums, codes and steps in 16 registers

inline Word zero_words() noexcept { return _mm256_setzero_si256(); }
inline Word words(std::uint32_t value) noexcept {
  return _mm256_set1_epi32(static_cast<int>(value));
}
inline Word words_at(const std::int32_t* from) noexcept { return _mm256_set1_epi32(*from); }
inline Word and_words(Word a, Word b) noexcept { return _mm256_and_si256(a, b); }
inline Word or_words(Word a, Word b) noexcept { return _mm256_or_si256(a, b); }
inline Word xor_words(Word a, Word b) noexcept { return _mm256_xor_si256(a, b); }
inline Word subtract_words(Word a, Word b) noexcept { return _mm256_sub_epi32(a, b); }
template <int kBits>
inline Word left(Word a) noexcept {
  return _mm256_slli_epi32(a, kBits);
}
template <int kBits>
inline Word right(Word a) noexcept {
  return _mm256_srli_epi32(a, kBits);
}
inline Word equal_or(Word a, Word b, Word equal, Word other) noexcept {
  return _mm256_blendv_epi8(other, equal, _mm256_cmpeq_epi32(a, b));
}
inline Word look_up(const std::uint8_t* table, Word indices) noexcept {
  const __m128i entries = _mm_load_si128(reinterpret_cast<const __m128i*>(table));
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(entries), indices);
}
inline void store_words(std::byte* to, Word value) noexcept {
  _mm256_store_si256(reinterpret_cast<__m256i*>(to), value);
}

inline Real real(float value) noexcept { return _mm256_set1_ps(value); }
inline Real real_at(const float* from) noexcept { return _mm256_set1_ps(*from); }
inline Real multiply(Real a, Real b) noexcept { return _mm256_mul_ps(a, b); }
inline Real plus(Real a, Real b) noexcept { return _mm256_add_ps(a, b); }
inline Real fused(Real a, Real b, Real c) noexcept { return _mm256_fmadd_ps(a, b, c); }
inline Real negate(Real a) noexcept { return _mm256_xor_ps(a, _mm256_set1_ps(-0.0f)); }
inline Real as_real(Word a) noexcept { return _mm256_castsi256_ps(a); }
inline Real to_real(Word a) noexcept { return _mm256_cvtepi32_ps(a); }
inline Real low_half(Word a) noexcept {
  const Word low = and_words(a, words(0xFFFF));
  const __m128i halves =
      _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
  return _mm256_cvtph_ps(halves);
}
inline void store_reals(std::byte* to, Real value) noexcept {
  _mm256_store_ps(reinterpret_cast<float*>(to), value);
}
inline void store_lanes(float* to, Real value, std::size_t count) noexcept {
  if (count == kLanes) return _mm256_storeu_ps(to, value);
  alignas(32) float lanes[kLanes];
  _mm256_store_ps(lanes, value);
  for (std::size_t i = 0; i < count; ++i) to[i] = lanes[i];
}

inline __m128i sixteen_at(const std::byte* from) noexcept {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}
// Rows r and r + 4 side by side.
[[gnu::always_inline]] inline Word two_rows(const std::byte* const* rows,
                                            std::size_t offset) noexcept {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(sixteen_at(rows[0] + offset)),
                                 sixteen_at(rows[4] + offset), 1);
}
[[gnu::always_inline]] inline void load_16(const std::byte* const* rows, std::size_t offset,
                                           Word (&out)[4]) noexcept {
  const Word a = two_rows(rows, offset), b = two_rows(rows + 1, offset);
  const Word c = two_rows(rows + 2, offset), d = two_rows(rows + 3, offset);
  const Word ab_low = _mm256_unpacklo_epi32(a, b), ab_high = _mm256_unpackhi_epi32(a, b);
  const Word cd_low = _mm256_unpacklo_epi32(c, d), cd_high = _mm256_unpackhi_epi32(c, d);
  out[0] = _mm256_unpacklo_epi64(ab_low, cd_low);
  out[1] = _mm256_unpackhi_epi64(ab_low, cd_low);
  out[2] = _mm256_unpacklo_epi64(ab_high, cd_high);
  out[3] = _mm256_unpackhi_epi64(ab_high, cd_high);
}

template <bool kWide>
[[gnu::always_inline]] inline Word dot(Word sum, Word codes, const std::int8_t* q) noexcept {
  int four;
  __builtin_memcpy(&four, q, sizeof(four));
  Word x = _mm256_set1_epi32(four);
  if constexpr (kWide) {
    // Of the signed code its size, and its sign on the other factor: at most 2 * 128 * 127.
    const Word code = xor_words(codes, _mm256_set1_epi8(static_cast<char>(0x80)));
    x = _mm256_sign_epi8(x, code);
    codes = _mm256_abs_epi8(code);
  }
  const Word pairs = _mm256_maddubs_epi16(codes, x);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

// Makes the codes of 256 columns negative where a bit is set, and adds kBias.
template <int kBias>
inline void add_signs(std::byte* codes, const std::uint64_t (&signs)[4]) noexcept {
  const Word bits = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201u));
  const Word each =
      _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  for (std::size_t i = 0; i < 8; ++i) {
    const auto some = static_cast<int>(signs[i / 2] >> (i % 2 * 32));
    const Word of_byte = _mm256_shuffle_epi8(_mm256_set1_epi32(some), each);
    const Word minus = _mm256_cmpeq_epi8(_mm256_and_si256(of_byte, bits), bits);
    auto* at = reinterpret_cast<Word*>(codes + 32 * i);
    const Word levels = _mm256_loadu_si256(at);
    const Word whole = _mm256_sub_epi8(_mm256_xor_si256(levels, minus), minus);
    _mm256_storeu_si256(at, _mm256_add_epi8(whole, _mm256_set1_epi8(kBias)));
  }
}

#include "kernels/int8_round.inl"
// Uses the above.
#include "kernels/int8_formats.inl"
#include "kernels/int8_product.inl"

bool supported(const CpuFeatures& cpu) noexcept { return cpu.avx2 && cpu.fma && cpu.f16c; }

}  // namespace
}  // namespace avx2

const Int8Kernels kAvx2Int8 = {.name = "avx2",
                               .supported = avx2::supported,
                               .form = avx2::form_of,
                               .round = avx2::round_activations,
                               .multiply = avx2::multiply_direct,
                               .panel_rows = avx2::kLanes,
                               .panel_bytes = avx2::panel_bytes,
                               .unpack = avx2::unpack_panel,
                               .multiply_panel = avx2::multiply_panel};

}  // namespace pajamas::kernels

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
