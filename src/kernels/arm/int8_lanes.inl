// Registers of four rows for NEON. Included inside a namespace of its own by the files that define
// `dot`, with the dot product instructions or without.
#pragma once

using Word = uint32x4_t;
using Real = float32x4_t;
constexpr std::size_t kLanes = 4;
constexpr int kWideShift = 128;  // `dot` multiplies signed codes
constexpr int kPanelTile = 12;   // 12 whole sums, 12 float sums, codes and steps in 32 registers

inline Word zero_words() noexcept { return vdupq_n_u32(0); }
inline Word words(std::uint32_t value) noexcept { return vdupq_n_u32(value); }
inline Word words_at(const std::int32_t* from) noexcept {
  return vdupq_n_u32(static_cast<std::uint32_t>(*from));
}
inline Word and_words(Word a, Word b) noexcept { return vandq_u32(a, b); }
inline Word or_words(Word a, Word b) noexcept { return vorrq_u32(a, b); }
inline Word xor_words(Word a, Word b) noexcept { return veorq_u32(a, b); }
inline Word subtract_words(Word a, Word b) noexcept { return vsubq_u32(a, b); }
template <int kBits>
inline Word left(Word a) noexcept {
  return vshlq_n_u32(a, kBits);
}
template <int kBits>
inline Word right(Word a) noexcept {
  return vshrq_n_u32(a, kBits);
}
inline Word equal_or(Word a, Word b, Word equal, Word other) noexcept {
  return vbslq_u32(vceqq_u32(a, b), equal, other);
}
inline Word look_up(const std::uint8_t* table, Word indices) noexcept {
  return vreinterpretq_u32_u8(vqtbl1q_u8(vld1q_u8(table), vreinterpretq_u8_u32(indices)));
}
inline void store_words(std::byte* to, Word value) noexcept {
  vst1q_u32(reinterpret_cast<std::uint32_t*>(to), value);
}

inline Real real(float value) noexcept { return vdupq_n_f32(value); }
inline Real real_at(const float* from) noexcept { return vdupq_n_f32(*from); }
inline Real multiply(Real a, Real b) noexcept { return vmulq_f32(a, b); }
inline Real plus(Real a, Real b) noexcept { return vaddq_f32(a, b); }
inline Real fused(Real a, Real b, Real c) noexcept { return vfmaq_f32(c, a, b); }
inline Real negate(Real a) noexcept { return vnegq_f32(a); }
inline Real as_real(Word a) noexcept { return vreinterpretq_f32_u32(a); }
inline Real to_real(Word a) noexcept { return vcvtq_f32_s32(vreinterpretq_s32_u32(a)); }
inline Real low_half(Word a) noexcept { return vcvt_f32_f16(vreinterpret_f16_u16(vmovn_u32(a))); }
inline void store_reals(std::byte* to, Real value) noexcept {
  vst1q_f32(reinterpret_cast<float*>(to), value);
}
inline void store_lanes(float* to, Real value, std::size_t count) noexcept {
  if (count == kLanes) return vst1q_f32(to, value);
  float lanes[kLanes];
  vst1q_f32(lanes, value);
  for (std::size_t i = 0; i < count; ++i) to[i] = lanes[i];
}

inline Word sixteen_at(const std::byte* from) noexcept {
  return vreinterpretq_u32_u8(vld1q_u8(reinterpret_cast<const std::uint8_t*>(from)));
}
[[gnu::always_inline]] inline void load_16(const std::byte* const* rows, std::size_t offset,
                                           Word (&out)[4]) noexcept {
  const Word a = sixteen_at(rows[0] + offset), b = sixteen_at(rows[1] + offset);
  const Word c = sixteen_at(rows[2] + offset), d = sixteen_at(rows[3] + offset);
  const uint64x2_t ab_even = vreinterpretq_u64_u32(vtrn1q_u32(a, b));
  const uint64x2_t ab_odd = vreinterpretq_u64_u32(vtrn2q_u32(a, b));
  const uint64x2_t cd_even = vreinterpretq_u64_u32(vtrn1q_u32(c, d));
  const uint64x2_t cd_odd = vreinterpretq_u64_u32(vtrn2q_u32(c, d));
  out[0] = vreinterpretq_u32_u64(vtrn1q_u64(ab_even, cd_even));
  out[1] = vreinterpretq_u32_u64(vtrn1q_u64(ab_odd, cd_odd));
  out[2] = vreinterpretq_u32_u64(vtrn2q_u64(ab_even, cd_even));
  out[3] = vreinterpretq_u32_u64(vtrn2q_u64(ab_odd, cd_odd));
}

// Makes the codes of 256 columns negative where a bit is set, and adds kBias.
template <int kBias>
inline void add_signs(std::byte* codes, const std::uint64_t (&signs)[4]) noexcept {
  const uint8x16_t bits = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201u));
  auto* at = reinterpret_cast<std::uint8_t*>(codes);
  for (std::size_t i = 0; i < 16; ++i, at += 16) {
    const auto some = static_cast<unsigned>(signs[i / 4] >> (i % 4 * 16));
    const uint8x16_t of_byte = vcombine_u8(vdup_n_u8(static_cast<std::uint8_t>(some)),
                                           vdup_n_u8(static_cast<std::uint8_t>(some >> 8)));
    const uint8x16_t minus = vtstq_u8(of_byte, bits), levels = vld1q_u8(at);
    const uint8x16_t bias = vdupq_n_u8(kBias);
    vst1q_u8(at, vbslq_u8(minus, vsubq_u8(bias, levels), vaddq_u8(bias, levels)));
  }
}

// The four activations of every lane, and the codes made signed.
inline int8x16_t four_at(const std::int8_t* q) noexcept {
  std::int32_t four;
  __builtin_memcpy(&four, q, sizeof(four));
  return vreinterpretq_s8_s32(vdupq_n_s32(four));
}
template <bool kWide>
inline int8x16_t signed_codes(Word codes) noexcept {
  return vreinterpretq_s8_u32(kWide ? veorq_u32(codes, vdupq_n_u32(0x80808080u)) : codes);
}
