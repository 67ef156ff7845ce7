// Packed products of blocks of 32: Q4_0 to Q5_1, and MXFP4 in both arrangements. Included by
// math_packed.inl.
#pragma once

// Two nibbles a byte: all low ones, then all high ones.
inline __m256i split_nibbles(const std::byte* from) noexcept {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  const __m256i both = _mm256_set_m128i(_mm_srli_epi16(bytes, 4), bytes);
  return _mm256_and_si256(both, _mm256_set1_epi8(15));
}
// 16 in every byte whose bit of `from` is set.
inline __m256i fifth_bits(const std::byte* from) noexcept {
  int word;
  __builtin_memcpy(&word, from, sizeof(word));
  const __m256i spread = _mm256_shuffle_epi8(
      _mm256_set1_epi32(word), _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2,
                                                2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3));
  const __m256i bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201u));
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
  return _mm256_and_si256(set, _mm256_set1_epi8(16));
}

// Q4_0, Q4_1, Q5_0 and Q5_1: four or five bits, with a bias or an offset.
template <class Block, bool kFive, bool kHasOffset>
struct PackedLegacy {
  static constexpr int kBlock = 32, kGroup = 32;
  static constexpr bool kSigned = !kHasOffset, kOffset = kHasOffset;
  static const void* unpack(const PackedRows& p, std::size_t row, std::size_t col,
                            Unpacked& u) noexcept {
    const std::byte* block = block_at<Block>(p, row, col / kBlock);
    u.step[0] = half_at(block + offsetof(Block, d));
    __m256i codes = split_nibbles(block + offsetof(Block, qs));
    if constexpr (kFive) codes = _mm256_or_si256(codes, fifth_bits(block + offsetof(Block, qh)));
    if constexpr (kHasOffset) {
      u.offset[0] = half_at(block + offsetof(Block, m));
    } else {
      codes = _mm256_sub_epi8(codes, _mm256_set1_epi8(kFive ? 16 : 8));
    }
    store_bytes(u.codes, codes);
    return u.codes;
  }
};
using PackedQ4_0 = PackedLegacy<codec::BlockQ4_0, false, false>;
using PackedQ4_1 = PackedLegacy<codec::BlockQ4_1, false, true>;
using PackedQ5_0 = PackedLegacy<codec::BlockQ5_0, true, false>;
using PackedQ5_1 = PackedLegacy<codec::BlockQ5_1, true, true>;

// The doubled values that sixteen nibbles stand for (codec/legacy.inl), and half the scale.
inline __m128i mxfp4_values(__m128i nibbles) noexcept {
  const __m128i table = _mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
  return _mm_shuffle_epi8(table, _mm_and_si128(nibbles, _mm_set1_epi8(15)));
}
inline float mxfp4_step(std::byte scale) noexcept {
  const auto e = static_cast<std::uint32_t>(scale);
  const std::uint32_t bits = e < 2 ? 0x00200000u << e : (e - 1) << 23;
  float step;
  __builtin_memcpy(&step, &bits, sizeof(step));
  return step;
}

struct PackedMxfp4Block {
  static constexpr int kBlock = 32, kGroup = 32;
  static constexpr bool kSigned = true, kOffset = false;
  static const void* unpack(const PackedRows& p, std::size_t row, std::size_t col,
                            Unpacked& u) noexcept {
    using Block = codec::BlockMXFP4;
    const std::byte* block = block_at<Block>(p, row, col / kBlock);
    u.step[0] = mxfp4_step(block[offsetof(Block, e)]);
    const __m128i bytes =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + offsetof(Block, qs)));
    auto* to = reinterpret_cast<__m128i*>(u.codes);
    _mm_store_si128(to, mxfp4_values(bytes));
    _mm_store_si128(to + 1, mxfp4_values(_mm_srli_epi16(bytes, 4)));
    return u.codes;
  }
};

struct PackedMxfp4Planes {
  static constexpr int kBlock = 32, kGroup = 32;
  static constexpr bool kSigned = true, kOffset = false;
  static const void* unpack(const PackedRows& p, std::size_t row, std::size_t col,
                            Unpacked& u) noexcept {
    u.step[0] = mxfp4_step(p.plane[1][row * p.plane_row_bytes[1] + col / kGroup]);
    const __m128i bytes = _mm_loadu_si128(
        reinterpret_cast<const __m128i*>(p.plane[0] + row * p.plane_row_bytes[0] + col / 2));
    const __m128i even = mxfp4_values(bytes), odd = mxfp4_values(_mm_srli_epi16(bytes, 4));
    auto* to = reinterpret_cast<__m128i*>(u.codes);
    _mm_store_si128(to, _mm_unpacklo_epi8(even, odd));
    _mm_store_si128(to + 1, _mm_unpackhi_epi8(even, odd));
    return u.codes;
  }
};
