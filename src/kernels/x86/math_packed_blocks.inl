// Packed products of GGUF blocks, and of MXFP4 in its planes, as their layouts say. Included by
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

inline float float_of(std::uint32_t bits) noexcept {
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}
inline float half_e8m0(std::byte scale) noexcept {
  return float_of(half_e8m0_bits(static_cast<Word>(scale)));
}
inline float half_e4m3(std::byte scale) noexcept {
  const Word bits = e4m3_half_bits(static_cast<Word>(scale));
  return _cvtsh_ss(static_cast<std::uint16_t>(bits)) * (kPerE4m3Half / 2);
}

// Eight bytes as floats.
template <bool kSigned>
inline __m256 eight_floats(__m128i bytes) noexcept {
  return _mm256_cvtepi32_ps(kSigned ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes));
}
inline __m256 eight_floats(Word low, Word high) noexcept {
  const std::uint64_t both = low | std::uint64_t{high} << 32;
  return eight_floats<false>(_mm_cvtsi64_si128(static_cast<long long>(both)));
}
// Sixteen bytes, times `unit`.
template <bool kSigned>
inline void scale_sixteen(__m128i bytes, float unit, float* out) noexcept {
  const __m256 unit8 = _mm256_set1_ps(unit);
  _mm256_storeu_ps(out, _mm256_mul_ps(unit8, eight_floats<kSigned>(bytes)));
  _mm256_storeu_ps(out + 8, _mm256_mul_ps(unit8, eight_floats<kSigned>(_mm_srli_si128(bytes, 8))));
}

// The steps and offsets of all groups of a block.
template <class F>
inline void set_steps(const std::byte* block, Unpacked& u) noexcept {
  constexpr codec::BlockLayout kLayout = F::kFormat.layout;
  constexpr codec::Scales kScales = kLayout.scales;
  float d, m = 0;
  if constexpr (F::kFormat.grid.scale_type == DType::kF8E8M0) {
    d = half_e8m0(block[kLayout.d]);
  } else {
    d = half_at(block + kLayout.d);
  }
  if constexpr (kLayout.m != codec::BlockLayout::kNone) {
    m = half_at(block + kLayout.m);
    if constexpr (kLayout.subtracted) m = -m;
  }
  if constexpr (kScales == codec::Scales::kNone) {
    u.step[0] = d;
    u.offset[0] = m;
  } else if constexpr (kScales == codec::Scales::kSixBitPairs) {
    Word word[3];
    __builtin_memcpy(word, block + kLayout.scales_at, 12);
    const __m256 step = eight_floats(low_pairs(word[0]), high_pair_scales(word[0], word[2]));
    const __m256 offset = eight_floats(low_pairs(word[1]), high_pair_mins(word[1], word[2]));
    _mm256_storeu_ps(u.step, _mm256_mul_ps(_mm256_set1_ps(d), step));
    _mm256_storeu_ps(u.offset, _mm256_mul_ps(_mm256_set1_ps(m), offset));
  } else if constexpr (kScales == codec::Scales::kSixBitsBiased) {
    Word word[3], scales[4];
    __builtin_memcpy(word, block + kLayout.scales_at, 12);
    six_bits(word[0], word[1], word[2], scales);
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(scales));
    scale_sixteen<true>(_mm_sub_epi8(bytes, _mm_set1_epi8(32)), d, u.step);
  } else {
    const __m128i bytes =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + kLayout.scales_at));
    if constexpr (kScales == codec::Scales::kBytes) {
      scale_sixteen<true>(bytes, d, u.step);
    } else {
      static_assert(kScales == codec::Scales::kNibbles);
      const __m128i nibble = _mm_set1_epi8(15);
      scale_sixteen<false>(_mm_and_si128(bytes, nibble), d, u.step);
      scale_sixteen<false>(_mm_and_si128(_mm_srli_epi16(bytes, 4), nibble), m, u.offset);
    }
  }
}

// The levels that thirty-two nibbles stand for.
template <class F>
inline __m256i levels_of(__m256i nibbles) noexcept {
  const __m128i table =
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(F::kFormat.grid.book.levels.data()));
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), nibbles);
}

template <class F>
struct PackedBlock {
  static constexpr codec::Grid kGrid = F::kFormat.grid;
  static constexpr codec::BlockLayout kLayout = F::kFormat.layout;
  static constexpr int kBlock = kGrid.block, kGroup = kGrid.group;
  static constexpr bool kSigned = kGrid.min_code < 0, kOffset = kGrid.has_offset();

  // Thirty-two columns from run kRun on.
  template <std::size_t kRun>
  static void unpack_run(const std::byte* block, Unpacked& u) noexcept {
    constexpr codec::CodeBits kLow = kLayout.low, kHigh = kLayout.high;
    constexpr int kFirst = static_cast<int>(kRun) * kLow.run_cols;
    constexpr std::size_t kRuns = 32 / kLow.run_cols;
    __m256i codes;
    if constexpr (kLow.run_cols == 16) {
      static_assert(kLow.bits == 4 && kLow.run[kRun].shift == 0 && kLow.run[kRun + 1].shift == 4);
      codes = split_nibbles(block + kLow.at + kLow.run[kRun].byte);
    } else {
      codes = move_bits<kLow.run[kRun].shift, 0>(load_bytes(block + kLow.at + kLow.run[kRun].byte),
                                                 (1 << kLow.bits) - 1);
    }
    if constexpr (kHigh.bits != 0) {
      const __m256i high = load_bytes(block + kHigh.at + kHigh.run[kRun].byte);
      codes = _mm256_or_si256(
          codes, move_bits<kHigh.run[kRun].shift, kLow.bits>(high, (1 << kHigh.bits) - 1));
    }
    if constexpr (kLayout.fifth_at != codec::BlockLayout::kNone) {
      codes = _mm256_or_si256(codes, fifth_bits(block + kLayout.fifth_at));
    }
    if constexpr (!kGrid.book.empty()) {
      codes = levels_of<F>(codes);
    } else if constexpr (kSigned) {
      codes = _mm256_add_epi8(codes, _mm256_set1_epi8(static_cast<char>(kGrid.min_code)));
    }
    store_bytes(u.codes + kFirst, codes);
    if constexpr (kRun + kRuns < static_cast<std::size_t>(kLow.runs)) {
      unpack_run<kRun + kRuns>(block, u);
    }
  }

  static const void* unpack(const PackedRows& p, std::size_t row, std::size_t col,
                            Unpacked& u) noexcept {
    const std::byte* block = block_at<typename F::Block>(p, row, col / kBlock);
    set_steps<F>(block, u);
    if constexpr (kLayout.low.bits == 8) {
      return block + kLayout.low.at;
    } else {
      unpack_run<0>(block, u);
      return u.codes;
    }
  }
};

// MXFP4 and NVFP4 in two planes.
template <class F>
struct PackedE2m1Planes {
  static constexpr int kBlock = F::kFormat.grid.block, kGroup = kBlock;
  static constexpr bool kSigned = true, kOffset = false;

  static float step(const PackedRows& p, std::size_t row, std::size_t col) noexcept {
    const std::byte scale = p.plane[1][row * p.plane_row_bytes[1] + col / kGroup];
    return F::kFormat.grid.scale_type == DType::kF8E8M0 ? half_e8m0(scale) : half_e4m3(scale);
  }
  static const std::byte* nibbles(const PackedRows& p, std::size_t row, std::size_t col) noexcept {
    return p.plane[0] + row * p.plane_row_bytes[0] + col / 2;
  }
  static const void* unpack(const PackedRows& p, std::size_t row, std::size_t col,
                            Unpacked& u) noexcept {
    u.step[0] = step(p, row, col);
    const std::byte* from = nibbles(p, row, col);
    auto* to = reinterpret_cast<__m128i*>(u.codes);
    if constexpr (kBlock == 32) {
      const __m256i values = levels_of<F>(split_nibbles(from));
      const __m128i even = _mm256_castsi256_si128(values);
      const __m128i odd = _mm256_extracti128_si256(values, 1);
      _mm_store_si128(to, _mm_unpacklo_epi8(even, odd));
      _mm_store_si128(to + 1, _mm_unpackhi_epi8(even, odd));
    } else {
      static_assert(kBlock == 16);
      const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
      const __m128i ordered = _mm_unpacklo_epi8(bytes, _mm_srli_epi16(bytes, 4));
      const __m128i codes = _mm_and_si128(ordered, _mm_set1_epi8(15));
      _mm_store_si128(to, _mm256_castsi256_si128(levels_of<F>(_mm256_castsi128_si256(codes))));
    }
    return u.codes;
  }
};

// e4m3_half_bits of sixteen numbers.
inline __m256i e4m3_halves(const std::byte* from) noexcept {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  const __m256i e = _mm256_cvtepu8_epi16(bytes), most = _mm256_set1_epi16(127);
  const __m256i magnitude = _mm256_and_si256(e, most);
  const __m256i sign = _mm256_slli_epi16(_mm256_andnot_si256(most, e), 8);
  const __m256i none =
      _mm256_and_si256(_mm256_cmpeq_epi16(magnitude, most), _mm256_set1_epi16(0x7E00));
  return _mm256_or_si256(_mm256_or_si256(_mm256_slli_epi16(magnitude, 7), sign), none);
}

struct PackedMxfp8 {
  static constexpr int kBlock = 32;
};
