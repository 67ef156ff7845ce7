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

#include "codec/scalar_words.inl"

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
// Every byte's bits `kFrom` and up, as many as `mask` has, moved to bit `kTo`.
template <int kFrom, int kTo>
inline __m256i move_bits(__m256i bytes, int mask) noexcept {
  const __m256i moved = kFrom >= kTo ? _mm256_srli_epi16(bytes, kFrom >= kTo ? kFrom - kTo : 0)
                                     : _mm256_slli_epi16(bytes, kFrom < kTo ? kTo - kFrom : 0);
  return _mm256_and_si256(moved, _mm256_set1_epi8(static_cast<char>(mask << kTo)));
}

#include "kernels/x86/math_packed_blocks.inl"

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

// Eight bytes of them.
inline Vector add_ordered_half(const std::byte* from, Vector values, const float* x,
                               Vector sum) noexcept {
  const __m512i words =
      _mm512_castsi128_si512(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
  const __m512i shifts =
      _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
  const __m512i both = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
  return look_up(_mm512_srlv_epi32(_mm512_permutexvar_epi32(both, words), shifts), values, x, sum);
}

template <class Format>
inline constexpr bool kIsNibbles = false;
template <class F>
inline constexpr bool kIsNibbles<PackedBlock<F>> =
    F::kFormat.layout.low.bits == 4 && F::kFormat.layout.high.bits == 0 &&
    F::kFormat.layout.fifth_at == codec::BlockLayout::kNone;

template <class F>
consteval std::array<float, 16> codes_by_index() {
  constexpr codec::Grid kGrid = F::kFormat.grid;
  std::array<float, 16> codes{};
  for (std::size_t i = 0; i < 16; ++i) {
    codes[i] = kGrid.book.empty() ? static_cast<float>(static_cast<int>(i) + kGrid.min_code)
                                  : static_cast<float>(kGrid.book.levels[i]);
  }
  return codes;
}
// The sixteen values of a group of F.
template <class F>
inline Vector values_of(float step, [[maybe_unused]] float offset) noexcept {
  static constexpr std::array<float, 16> kCodes = codes_by_index<F>();
  const Vector values = multiply(load(kCodes.data()), splat(step));
  if constexpr (F::kFormat.grid.has_offset()) return add(values, splat(offset));
  return values;
}

template <class F>
inline Vector add_nibbles(PackedBlock<F>, const PackedRows& p, std::size_t row, std::size_t col,
                          Vector sum) noexcept {
  constexpr codec::BlockLayout kLayout = F::kFormat.layout;
  constexpr codec::CodeBits kLow = kLayout.low;
  constexpr int kGroup = F::kFormat.grid.group;
  const std::byte* block = block_at<typename F::Block>(p, row, col / F::kFormat.grid.block);
  const float* x = p.x + col;
  Unpacked u;
  set_steps<F>(block, u);
  // Runs 2 i and 2 i + 1 are the low and high nibbles of the same bytes.
#pragma GCC unroll 4
  for (int pair = 0; pair < kLow.runs / 2; ++pair) {
    const int low_col = pair * 2 * kLow.run_cols, high_col = low_col + kLow.run_cols;
    const Vector low = values_of<F>(u.step[low_col / kGroup], u.offset[low_col / kGroup]);
    const Vector high = values_of<F>(u.step[high_col / kGroup], u.offset[high_col / kGroup]);
    const std::byte* qs = block + kLow.at + pair * kLow.run_cols;
    __m512i words[2];
#pragma GCC unroll 2
    for (int i = 0; i < kLow.run_cols / 16; ++i) {
      words[i] = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(qs) + i));
      sum = look_up(words[i], low, x + low_col + i * 16, sum);
    }
#pragma GCC unroll 2
    for (int i = 0; i < kLow.run_cols / 16; ++i) {
      sum = look_up(_mm512_srli_epi32(words[i], 4), high, x + high_col + i * 16, sum);
    }
  }
  return sum;
}

#endif

template <class Format>
inline Vector add_block(const PackedRows& p, std::size_t row, std::size_t col,
                        Vector sum) noexcept {
#if defined(PJ_CODE_TABLES)
  if constexpr (kIsNibbles<Format>) return add_nibbles(Format{}, p, row, col, sum);
#endif
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
template <>
inline Vector add_block<PackedAffine<4>>(const PackedRows& p, std::size_t row, std::size_t col,
                                         Vector sum) noexcept {
  const std::size_t group = col / p.group_size;
  const Vector values =
      values_of_codes(scale_at(p.scale_type, p.plane[1] + row * p.plane_row_bytes[1], group),
                      scale_at(p.scale_type, p.plane[2] + row * p.plane_row_bytes[2], group));
  return add_ordered(p.plane[0] + row * p.plane_row_bytes[0] + col / 2, values, p.x + col, sum);
}

template <>
inline Vector add_block<PackedE2m1Planes<codec::Mxfp4>>(const PackedRows& p, std::size_t row,
                                                        std::size_t col, Vector sum) noexcept {
  using Format = PackedE2m1Planes<codec::Mxfp4>;
  return add_ordered(Format::nibbles(p, row, col),
                     values_of<codec::Mxfp4>(Format::step(p, row, col), 0), p.x + col, sum);
}
template <>
inline Vector add_block<PackedE2m1Planes<codec::Nvfp4>>(const PackedRows& p, std::size_t row,
                                                        std::size_t col, Vector sum) noexcept {
  using Format = PackedE2m1Planes<codec::Nvfp4>;
  return add_ordered_half(Format::nibbles(p, row, col),
                          values_of<codec::Nvfp4>(Format::step(p, row, col), 0), p.x + col, sum);
}
#endif

template <>
inline Vector add_block<PackedMxfp8>(const PackedRows& p, std::size_t row, std::size_t col,
                                     Vector sum) noexcept {
  const std::byte scale = p.plane[1][row * p.plane_row_bytes[1] + col / 32];
  const Vector step = splat(float_of(e8m0_bits(static_cast<Word>(scale))));
  const std::byte* codes = p.plane[0] + row * p.plane_row_bytes[0] + col;
  alignas(32) std::byte halves[64];
  store_bytes(halves, e4m3_halves(codes));
  store_bytes(halves + 32, e4m3_halves(codes + 16));
#pragma GCC unroll 4
  for (std::size_t i = 0; i < 32; i += kLanes) {
    const Vector weights = multiply(load_halves(halves + 2 * i), splat(kPerE4m3Half));
    sum = multiply_add(multiply(weights, step), load(p.x + col + i), sum);
  }
  return sum;
}

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

template <std::size_t kAt = 0>
inline PackedDot packed_affine(int bits) noexcept {
  if constexpr (kAt < kAffineBits.size()) {
    if (bits == kAffineBits[kAt]) return packed_dot_of<PackedAffine<kAffineBits[kAt]>>;
    return packed_affine<kAt + 1>(bits);
  }
  return nullptr;
}

template <class... F>
inline PackedDot packed_block(codec::FormatList<F...>, DType type) noexcept {
  PackedDot found = nullptr;
  (void)((F::kFormat.type == type && (found = packed_dot_of<PackedBlock<F>>) != nullptr) || ...);
  return found;
}

inline PackedDot packed_dot(const Encoding& encoding, std::size_t cols) noexcept {
  if (cols % 16 != 0) return nullptr;
  if (encoding.is_affine()) return packed_affine(encoding.bits);
  if (encoding.layout == Layout::kMxfp4) return packed_dot_of<PackedE2m1Planes<codec::Mxfp4>>;
  if (encoding.layout == Layout::kNvfp4) return packed_dot_of<PackedE2m1Planes<codec::Nvfp4>>;
  if (encoding.layout == Layout::kMxfp8) return packed_dot_of<PackedMxfp8>;
  if (encoding.layout != Layout::kStream) return nullptr;
  switch (encoding.dtype) {
    case DType::kF32:
      return packed_dot_of<PackedPlain<DType::kF32>>;
    case DType::kF16:
      return packed_dot_of<PackedPlain<DType::kF16>>;
    case DType::kBF16:
      return packed_dot_of<PackedPlain<DType::kBF16>>;
    default:
      return packed_block(codec::FloatFormats{}, encoding.dtype);
  }
}
