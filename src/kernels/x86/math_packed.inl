// Products of packed rows with one vector: every weight is decoded in registers, in the same float
// operations as codec/ decodes it (step * code, then + offset, each rounded), and multiplied at
// once. Included after math_dot.inl.
#pragma once

// The codes of one block, a byte each, and its groups' steps and offsets.
struct Unpacked {
  alignas(32) std::uint8_t codes[256];
  float step[16];
  float offset[16];
};

template <class Block>
inline const std::byte* block_at(const PackedRows& p, std::size_t row, std::size_t index) noexcept {
  return p.plane[0] + row * p.plane_row_bytes[0] + index * sizeof(Block);
}

inline float half_at(const std::byte* from) noexcept {
  std::uint16_t bits;
  __builtin_memcpy(&bits, from, sizeof(bits));
  return _cvtsh_ss(bits);
}

inline __m256i load_bytes(const void* from) noexcept {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}
inline void store_bytes(void* to, __m256i bytes) noexcept {
  _mm256_storeu_si256(static_cast<__m256i*>(to), bytes);
}
// Every byte shifted right, then masked.
template <int kShift>
inline __m256i bits_of(__m256i bytes, int mask) noexcept {
  return _mm256_and_si256(_mm256_srli_epi16(bytes, kShift),
                          _mm256_set1_epi8(static_cast<char>(mask)));
}
// Every byte's bits `kShift` and up, as many as `mask` has, moved to bit 4.
template <int kShift>
inline __m256i high_bits(__m256i bytes, int mask) noexcept {
  const __m256i moved = kShift >= 4 ? _mm256_srli_epi16(bytes, kShift >= 4 ? kShift - 4 : 0)
                                    : _mm256_slli_epi16(bytes, kShift < 4 ? 4 - kShift : 0);
  return _mm256_and_si256(moved, _mm256_set1_epi8(static_cast<char>(mask << 4)));
}

struct PackedQ8_0 {
  static constexpr int kBlock = 32, kGroup = 32;
  static constexpr bool kSigned = true, kOffset = false;
  static const void* unpack(const PackedRows& p, std::size_t row, std::size_t col,
                            Unpacked& u) noexcept {
    const std::byte* block = block_at<codec::BlockQ8_0>(p, row, col / kBlock);
    u.step[0] = half_at(block + offsetof(codec::BlockQ8_0, d));
    return block + offsetof(codec::BlockQ8_0, qs);
  }
};

inline __m256 eight_floats(std::uint64_t bytes) noexcept {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(bytes))));
}

// The twelve bytes of six-bit scales and minimums (codec/kquants.inl, unpack_scales_k4), four bytes
// at a time, times d and -dmin.
inline void steps_k4(const std::byte* scales, float d, float dmin, Unpacked& u) noexcept {
  std::uint32_t a, b, c;
  __builtin_memcpy(&a, scales, 4);
  __builtin_memcpy(&b, scales + 4, 4);
  __builtin_memcpy(&c, scales + 8, 4);
  const std::uint64_t low_scales = a & 0x3F3F3F3Fu;
  const std::uint64_t high_scales = (c & 0x0F0F0F0Fu) | ((a >> 6) & 0x03030303u) << 4;
  const std::uint64_t low_mins = b & 0x3F3F3F3Fu;
  const std::uint64_t high_mins = ((c >> 4) & 0x0F0F0F0Fu) | ((b >> 6) & 0x03030303u) << 4;
  const __m256 step = eight_floats(low_scales | high_scales << 32);
  const __m256 offset = eight_floats(low_mins | high_mins << 32);
  _mm256_storeu_ps(u.step, _mm256_mul_ps(_mm256_set1_ps(d), step));
  _mm256_storeu_ps(u.offset, _mm256_mul_ps(_mm256_set1_ps(-dmin), offset));
}

struct PackedQ4_K {
  static constexpr int kBlock = 256, kGroup = 32;
  static constexpr bool kSigned = false, kOffset = true;
  static const void* unpack(const PackedRows& p, std::size_t row, std::size_t col,
                            Unpacked& u) noexcept {
    using Block = codec::BlockQ4_K;
    const std::byte* block = block_at<Block>(p, row, col / kBlock);
    steps_k4(block + offsetof(Block, scales), half_at(block + offsetof(Block, d)),
             half_at(block + offsetof(Block, dmin)), u);
#pragma GCC unroll 4
    for (int run = 0; run < 4; ++run) {
      const __m256i bytes = load_bytes(block + offsetof(Block, qs) + run * 32);
      store_bytes(u.codes + run * 64, bits_of<0>(bytes, 15));
      store_bytes(u.codes + run * 64 + 32, bits_of<4>(bytes, 15));
    }
    return u.codes;
  }
};

struct PackedQ5_K {
  static constexpr int kBlock = 256, kGroup = 32;
  static constexpr bool kSigned = false, kOffset = true;
  template <int kRun>
  static void unpack_run(const std::byte* qs, __m256i high, Unpacked& u) noexcept {
    const __m256i bytes = load_bytes(qs + kRun * 32);
    store_bytes(u.codes + kRun * 64,
                _mm256_or_si256(bits_of<0>(bytes, 15), high_bits<2 * kRun>(high, 1)));
    store_bytes(u.codes + kRun * 64 + 32,
                _mm256_or_si256(bits_of<4>(bytes, 15), high_bits<2 * kRun + 1>(high, 1)));
  }
  static const void* unpack(const PackedRows& p, std::size_t row, std::size_t col,
                            Unpacked& u) noexcept {
    using Block = codec::BlockQ5_K;
    const std::byte* block = block_at<Block>(p, row, col / kBlock);
    steps_k4(block + offsetof(Block, scales), half_at(block + offsetof(Block, d)),
             half_at(block + offsetof(Block, dmin)), u);
    const __m256i high = load_bytes(block + offsetof(Block, qh));
    const std::byte* qs = block + offsetof(Block, qs);
    unpack_run<0>(qs, high, u);
    unpack_run<1>(qs, high, u);
    unpack_run<2>(qs, high, u);
    unpack_run<3>(qs, high, u);
    return u.codes;
  }
};

struct PackedQ6_K {
  static constexpr int kBlock = 256, kGroup = 16;
  static constexpr bool kSigned = true, kOffset = false;
  static const void* unpack(const PackedRows& p, std::size_t row, std::size_t col,
                            Unpacked& u) noexcept {
    using Block = codec::BlockQ6_K;
    const std::byte* block = block_at<Block>(p, row, col / kBlock);
    const __m256 d = _mm256_set1_ps(half_at(block + offsetof(Block, d)));
    const __m128i scales =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + offsetof(Block, scales)));
    _mm256_storeu_ps(u.step, _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(scales))));
    _mm256_storeu_ps(
        u.step + 8,
        _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(scales, 8)))));
    const __m256i bias = _mm256_set1_epi8(32);
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const __m256i low = load_bytes(block + offsetof(Block, ql) + half * 64);
      const __m256i next = load_bytes(block + offsetof(Block, ql) + half * 64 + 32);
      const __m256i high = load_bytes(block + offsetof(Block, qh) + half * 32);
      const __m256i runs[4] = {_mm256_or_si256(bits_of<0>(low, 15), high_bits<0>(high, 3)),
                               _mm256_or_si256(bits_of<0>(next, 15), high_bits<2>(high, 3)),
                               _mm256_or_si256(bits_of<4>(low, 15), high_bits<4>(high, 3)),
                               _mm256_or_si256(bits_of<4>(next, 15), high_bits<6>(high, 3))};
#pragma GCC unroll 4
      for (int run = 0; run < 4; ++run) {
        store_bytes(u.codes + half * 128 + run * 32, _mm256_sub_epi8(runs[run], bias));
      }
    }
    return u.codes;
  }
};

#include "kernels/x86/math_packed_small.inl"

inline float scale_at(DType type, const std::byte* plane, std::size_t index) noexcept {
  if (type == DType::kF16) return half_at(plane + 2 * index);
  std::uint32_t bits = 0;
  if (type == DType::kF32) {
    __builtin_memcpy(&bits, plane + 4 * index, 4);
  } else {
    std::uint16_t upper;
    __builtin_memcpy(&upper, plane + 2 * index, 2);
    bits = static_cast<std::uint32_t>(upper) << 16;
  }
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

template <class Word>
inline std::uint64_t word_at(const std::byte* from) noexcept {
  Word word;
  __builtin_memcpy(&word, from, sizeof(word));
  return word;
}

// kBits bytes as one word, from pieces that stay in registers.
template <int kBits>
inline std::uint64_t load_word(const std::byte* from) noexcept {
  if constexpr (kBits == 2) {
    return word_at<std::uint16_t>(from);
  } else if constexpr (kBits == 3) {
    return word_at<std::uint16_t>(from) | word_at<std::uint8_t>(from + 2) << 16;
  } else if constexpr (kBits == 5) {
    return word_at<std::uint32_t>(from) | word_at<std::uint8_t>(from + 4) << 32;
  } else {
    static_assert(kBits == 6);
    return word_at<std::uint32_t>(from) | word_at<std::uint16_t>(from + 4) << 32;
  }
}

// Moves eight codes of kBits, packed lowest first, into a byte each: the upper half of every word
// of 8, 4 and 2 codes is pushed to its place in turn.
template <int kBits>
inline std::uint64_t spread_codes(const std::byte* from) noexcept {
  constexpr std::uint64_t kOnes = ~std::uint64_t{0};
  constexpr std::uint64_t kFour = kOnes >> (64 - 4 * kBits);
  constexpr std::uint64_t kTwo = (kOnes >> (64 - 2 * kBits)) * 0x0000000100000001u;
  constexpr std::uint64_t kOne = (kOnes >> (64 - kBits)) * 0x0001000100010001u;
  std::uint64_t word = load_word<kBits>(from);
  word = (word & kFour) | (word & kFour << (4 * kBits)) << (32 - 4 * kBits);
  word = (word & kTwo) | (word & kTwo << (2 * kBits)) << (16 - 2 * kBits);
  return (word & kOne) | (word & kOne << kBits) << (8 - kBits);
}

template <int kBits>
struct PackedAffine {
  static constexpr int kBlock = 32, kGroup = 32;
  static constexpr bool kSigned = false, kOffset = true;
  static const void* unpack(const PackedRows& p, std::size_t row, std::size_t col,
                            Unpacked& u) noexcept {
    const std::size_t group = col / p.group_size;
    u.step[0] = scale_at(p.scale_type, p.plane[1] + row * p.plane_row_bytes[1], group);
    u.offset[0] = scale_at(p.scale_type, p.plane[2] + row * p.plane_row_bytes[2], group);
    const std::byte* codes = p.plane[0] + row * p.plane_row_bytes[0] + col * kBits / 8;
    if constexpr (kBits == 8) {
      return codes;
    } else if constexpr (kBits == 4) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes));
      const __m128i mask = _mm_set1_epi8(15);
      const __m128i even = _mm_and_si128(bytes, mask);
      const __m128i odd = _mm_and_si128(_mm_srli_epi16(bytes, 4), mask);
      auto* to = reinterpret_cast<__m128i*>(u.codes);
      _mm_store_si128(to, _mm_unpacklo_epi8(even, odd));
      _mm_store_si128(to + 1, _mm_unpackhi_epi8(even, odd));
    } else {
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {  // sixteen at once: a load as wide as the store is fast
        const auto low = static_cast<long long>(spread_codes<kBits>(codes + 2 * i * kBits));
        const auto high = static_cast<long long>(spread_codes<kBits>(codes + (2 * i + 1) * kBits));
        _mm_store_si128(reinterpret_cast<__m128i*>(u.codes) + i, _mm_set_epi64x(high, low));
      }
    }
    return u.codes;
  }
};

template <class Format>
inline Vector add_block(const PackedRows& p, std::size_t row, std::size_t col,
                        Vector sum) noexcept {
  Unpacked u;
  const auto* codes = static_cast<const std::uint8_t*>(Format::unpack(p, row, col, u));
#pragma GCC unroll 32
  for (int i = 0; i < Format::kBlock; i += static_cast<int>(kLanes)) {
    const int group = i / Format::kGroup;
    Vector weights = multiply(load_codes<Format::kSigned>(codes + i), splat(u.step[group]));
    if constexpr (Format::kOffset) weights = add(weights, splat(u.offset[group]));
    sum = multiply_add(weights, load(p.x + col + static_cast<std::size_t>(i)), sum);
  }
  return sum;
}

#if defined(PJ_CODE_TABLES)
// Four-bit codes where a register holds sixteen floats: all values that a group can have are
// computed once, by the same operations, and looked up. Only the low four bits of an index count.
inline Vector values_of_codes(float step, float offset) noexcept {
  const Vector codes = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return add(multiply(codes, splat(step)), splat(offset));
}
inline Vector look_up(__m512i codes, Vector values, const float* x, Vector sum) noexcept {
  return multiply_add(_mm512_permutexvar_ps(codes, values), load(x), sum);
}

// Sixteen bytes of neighbouring nibbles, lowest first. Eight codes a word: each goes to eight
// lanes, every lane shifts its own down.
inline Vector add_ordered(const std::byte* from, Vector values, const float* x,
                          Vector sum) noexcept {
  const __m512i words =
      _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  const __m512i shifts =
      _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
  const __m512i front = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
  const __m512i back = _mm512_setr_epi32(2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  sum = look_up(_mm512_srlv_epi32(_mm512_permutexvar_epi32(front, words), shifts), values, x, sum);
  return look_up(_mm512_srlv_epi32(_mm512_permutexvar_epi32(back, words), shifts), values, x + 16,
                 sum);
}

template <>
inline Vector add_block<PackedQ4_K>(const PackedRows& p, std::size_t row, std::size_t col,
                                    Vector sum) noexcept {
  using Block = codec::BlockQ4_K;
  const std::byte* block = block_at<Block>(p, row, col / PackedQ4_K::kBlock);
  Unpacked u;
  steps_k4(block + offsetof(Block, scales), half_at(block + offsetof(Block, d)),
           half_at(block + offsetof(Block, dmin)), u);
  const float* x = p.x + col;
#pragma GCC unroll 4
  for (int run = 0; run < 4; ++run) {
    const auto* qs = reinterpret_cast<const __m128i*>(block + offsetof(Block, qs) + run * 32);
    const __m512i first = _mm512_cvtepu8_epi32(_mm_loadu_si128(qs));
    const __m512i second = _mm512_cvtepu8_epi32(_mm_loadu_si128(qs + 1));
    const Vector low = values_of_codes(u.step[2 * run], u.offset[2 * run]);
    const Vector high = values_of_codes(u.step[2 * run + 1], u.offset[2 * run + 1]);
    sum = look_up(first, low, x + run * 64, sum);
    sum = look_up(second, low, x + run * 64 + 16, sum);
    sum = look_up(_mm512_srli_epi32(first, 4), high, x + run * 64 + 32, sum);
    sum = look_up(_mm512_srli_epi32(second, 4), high, x + run * 64 + 48, sum);
  }
  return sum;
}

template <>
inline Vector add_block<PackedAffine<4>>(const PackedRows& p, std::size_t row, std::size_t col,
                                         Vector sum) noexcept {
  const std::size_t group = col / p.group_size;
  const Vector values =
      values_of_codes(scale_at(p.scale_type, p.plane[1] + row * p.plane_row_bytes[1], group),
                      scale_at(p.scale_type, p.plane[2] + row * p.plane_row_bytes[2], group));
  return add_ordered(p.plane[0] + row * p.plane_row_bytes[0] + col / 2, values, p.x + col, sum);
}

// The sixteen values of an MXFP4 group, and of Q4_0.
inline Vector mxfp4_group(float step) noexcept {
  const Vector values = _mm512_setr_ps(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
  return multiply(values, splat(step));
}
inline Vector q4_0_group(float step) noexcept {
  const Vector values = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
  return multiply(values, splat(step));
}

// Sixteen bytes: the low nibbles are the first sixteen columns, the high ones the rest.
inline Vector add_nibbles(const std::byte* qs, Vector values, const float* x, Vector sum) noexcept {
  const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(qs)));
  sum = look_up(bytes, values, x, sum);
  return look_up(_mm512_srli_epi32(bytes, 4), values, x + 16, sum);
}

template <>
inline Vector add_block<PackedMxfp4Block>(const PackedRows& p, std::size_t row, std::size_t col,
                                          Vector sum) noexcept {
  using Block = codec::BlockMXFP4;
  const std::byte* block = block_at<Block>(p, row, col / 32);
  return add_nibbles(block + offsetof(Block, qs), mxfp4_group(mxfp4_step(block[0])), p.x + col,
                     sum);
}

template <>
inline Vector add_block<PackedQ4_0>(const PackedRows& p, std::size_t row, std::size_t col,
                                    Vector sum) noexcept {
  using Block = codec::BlockQ4_0;
  const std::byte* block = block_at<Block>(p, row, col / 32);
  return add_nibbles(block + offsetof(Block, qs), q4_0_group(half_at(block)), p.x + col, sum);
}

template <>
inline Vector add_block<PackedMxfp4Planes>(const PackedRows& p, std::size_t row, std::size_t col,
                                           Vector sum) noexcept {
  const std::byte scale = p.plane[1][row * p.plane_row_bytes[1] + col / 32];
  return add_ordered(p.plane[0] + row * p.plane_row_bytes[0] + col / 2,
                     mxfp4_group(mxfp4_step(scale)), p.x + col, sum);
}
#endif

// Rows of plain numbers; a "block" is one register.
template <DType kType>
struct PackedPlain {
  static constexpr int kBlock = static_cast<int>(kLanes);
};
template <DType kType>
inline Vector plain_at(const PackedRows& p, std::size_t row, std::size_t col) noexcept {
  const std::byte* from = p.plane[0] + row * p.plane_row_bytes[0];
  if constexpr (kType == DType::kF32) return load(reinterpret_cast<const float*>(from + col * 4));
  if constexpr (kType == DType::kF16) return load_halves(from + col * 2);
  if constexpr (kType == DType::kBF16) return load_bfloats(from + col * 2);
}

#define PJ_PLAIN_FORMAT(TYPE)                                                               \
  template <>                                                                               \
  inline Vector add_block<PackedPlain<DType::TYPE>>(const PackedRows& p, std::size_t row,   \
                                                    std::size_t col, Vector sum) noexcept { \
    return multiply_add(plain_at<DType::TYPE>(p, row, col), load(p.x + col), sum);          \
  }
PJ_PLAIN_FORMAT(kF32)
PJ_PLAIN_FORMAT(kF16)
PJ_PLAIN_FORMAT(kBF16)
#undef PJ_PLAIN_FORMAT

// Several rows side by side: their sums are independent, so the processor can overlap them.
template <class Format, int kRows>
inline void packed_rows(const PackedRows& p, std::size_t row) noexcept {
  for (std::size_t first = 0; first < p.cols; first += kChunkCols) {
    const std::size_t last = first + kChunkCols < p.cols ? first + kChunkCols : p.cols;
    Vector sums[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) sums[r] = zero();
    for (std::size_t col = first; col < last; col += Format::kBlock) {
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        sums[r] = add_block<Format>(p, row + static_cast<std::size_t>(r), col, sums[r]);
      }
    }
    for (int r = 0; r < kRows; ++r) {
      float& out = p.out[row + static_cast<std::size_t>(r)];
      const float sum = add_lanes(sums[r]);
      out = first == 0 ? sum : out + sum;
    }
  }
}

template <class Format>
inline void packed_dot_of(const PackedRows& p) noexcept {
  std::size_t row = 0;
  for (; row + 4 <= p.rows; row += 4) packed_rows<Format, 4>(p, row);
  for (; row < p.rows; ++row) packed_rows<Format, 1>(p, row);
}

inline PackedDot packed_affine(int bits) noexcept {
  switch (bits) {
    case 2:
      return packed_dot_of<PackedAffine<2>>;
    case 3:
      return packed_dot_of<PackedAffine<3>>;
    case 4:
      return packed_dot_of<PackedAffine<4>>;
    case 5:
      return packed_dot_of<PackedAffine<5>>;
    case 6:
      return packed_dot_of<PackedAffine<6>>;
    case 8:
      return packed_dot_of<PackedAffine<8>>;
    default:
      return nullptr;
  }
}

inline PackedDot packed_dot(const Encoding& encoding, std::size_t cols) noexcept {
  if (cols % 16 != 0) return nullptr;
  if (encoding.is_affine()) return packed_affine(encoding.bits);
  if (encoding.layout == Layout::kMxfp4) return packed_dot_of<PackedMxfp4Planes>;
  if (encoding.layout != Layout::kStream) return nullptr;
  switch (encoding.dtype) {
    case DType::kF32:
      return packed_dot_of<PackedPlain<DType::kF32>>;
    case DType::kF16:
      return packed_dot_of<PackedPlain<DType::kF16>>;
    case DType::kBF16:
      return packed_dot_of<PackedPlain<DType::kBF16>>;
    case DType::kQ4_0:
      return packed_dot_of<PackedQ4_0>;
    case DType::kQ4_1:
      return packed_dot_of<PackedQ4_1>;
    case DType::kQ5_0:
      return packed_dot_of<PackedQ5_0>;
    case DType::kQ5_1:
      return packed_dot_of<PackedQ5_1>;
    case DType::kMXFP4:
      return packed_dot_of<PackedMxfp4Block>;
    case DType::kQ8_0:
      return packed_dot_of<PackedQ8_0>;
    case DType::kQ4_K:
      return packed_dot_of<PackedQ4_K>;
    case DType::kQ5_K:
      return packed_dot_of<PackedQ5_K>;
    case DType::kQ6_K:
      return packed_dot_of<PackedQ6_K>;
    default:
      return nullptr;
  }
}
