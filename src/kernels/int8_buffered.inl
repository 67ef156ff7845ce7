// Formats whose codes are entries of a codebook or digits of base three, for the products of
// int8_product.inl: the block of each row is unpacked to bytes by itself and read from there as if
// it were stored so. Which format it is is asked once a block, so that all share the compiled
// products.
#pragma once

// Every code is stored with this added; none is further from zero than 62.
constexpr int kBufferedBias = 64;
constexpr std::uint64_t kEveryByte = 0x0101010101010101u;

// Vectors of which either compiler makes what the instruction set has.
typedef std::uint8_t Bytes8 __attribute__((vector_size(8)));
typedef std::uint8_t Bytes16 __attribute__((vector_size(16)));
typedef std::uint16_t Halves8 __attribute__((vector_size(16)));
typedef std::uint16_t Halves16 __attribute__((vector_size(32)));

template <class T>
[[gnu::always_inline]] inline T value_at(const std::byte* from) noexcept {
  T value;
  __builtin_memcpy(&value, from, sizeof(value));
  return value;
}
// Sixteen bytes of which the first eight are read.
[[gnu::always_inline]] inline Bytes16 eight_bytes(const std::byte* from) noexcept {
  typedef std::uint64_t Words2 __attribute__((vector_size(16)));
  return reinterpret_cast<Bytes16>(Words2{value_at<std::uint64_t>(from), 0});
}
[[gnu::always_inline]] inline Halves16 widened(Bytes16 bytes) noexcept {
  return __builtin_convertvector(bytes, Halves16);
}

// Byte k of entry i: the level of column k (codebooks without signs: from the lowest level).
template <class F>
consteval auto entry_bytes() {
  constexpr codec::CodeBook kBook = F::kFormat.grid.book;
  constexpr int kFrom = kBook.signs == codec::Signs::kOfLevels ? kBook.levels[0] : 0;
  using Entry = std::conditional_t<kBook.columns == 8, std::uint64_t, std::uint32_t>;
  std::array<Entry, kBook.entries.size()> out{};
  for (std::size_t e = 0; e < out.size(); ++e) {
    for (int k = 0; k < kBook.columns; ++k) {
      out[e] |= static_cast<Entry>(kBook.level(e, k) - kFrom) << (8 * k);
    }
  }
  return out;
}
template <class F>
alignas(64) constexpr auto kEntryBytes = entry_bytes<F>();

// What a block of vectors holds, apart from its entries.
struct VectorParts {
  alignas(
      64) std::uint16_t index[64];     // numbers of the entries, where they are not bytes as stored
  alignas(64) std::uint64_t signs[4];  // bit i: column i is negative
  alignas(64) std::uint16_t scales[16];
};

// The levels of all columns, without signs. `index(i)` is the number of entry i, which a load must
// give: numbers taken out of vectors, and entries put into such, cost more than the rest.
template <class F, class Index>
[[gnu::always_inline]] inline void write_entries(const Index& index, std::byte* codes) noexcept {
  constexpr std::size_t kColumns = F::kFormat.grid.book.columns;
#pragma GCC unroll 16
  for (std::size_t i = 0; i < 256 / kColumns; ++i) {
    auto word = kEntryBytes<F>[index(i)];
    asm("" : "+r"(word));
    __builtin_memcpy(codes + kColumns * i, &word, kColumns);
  }
}

// What has been written as vectors is read again as numbers.
[[gnu::always_inline]] inline const std::uint16_t* as_numbers(const std::uint16_t* from) noexcept {
  asm("" : "+r"(from) : : "memory");
  return from;
}

[[gnu::always_inline]] inline void write_steps(float d, const VectorParts& parts, int groups,
                                               float* steps) noexcept {
  for (int g = 0; g < groups; ++g) steps[g] = d * static_cast<float>(2 * parts.scales[g] + 1);
}

// Two scales a byte, the first one low.
[[gnu::always_inline]] inline Halves16 nibbles(Bytes16 b) noexcept {
  const Halves16 twice =
      widened(__builtin_shufflevector(b, b, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7));
  constexpr Halves16 kUp = {16, 1, 16, 1, 16, 1, 16, 1, 16, 1, 16, 1, 16, 1, 16, 1};
  return ((twice * kUp) >> 4) & 15;
}

// The eighth sign of every eight, of which an even number is negative.
[[gnu::always_inline]] inline std::uint64_t with_even(std::uint64_t sevens) noexcept {
  std::uint64_t parity = sevens ^ sevens >> 4;
  parity ^= parity >> 2;
  parity ^= parity >> 1;
  return sevens | (parity & kEveryByte) << 7;
}
// Four times seven signs of each half, below its scale.
[[gnu::always_inline]] inline std::uint64_t signs_of(std::uint64_t words) noexcept {
  constexpr std::uint64_t kBoth = 0x0000000100000001u;
  return with_even((words & (kBoth * 0x7f)) | (words & (kBoth * 0x3f80)) << 1 |
                   (words & (kBoth * 0x1fc000)) << 2 | (words & (kBoth * 0xfe00000)) << 3);
}
// Signs and scales of formats that keep both in a word of 32 bits a group; `word(g)` has those of
// groups g and g + 1.
template <class Words>
[[gnu::always_inline]] inline void read_words(const Words& words, VectorParts& out) noexcept {
  for (int g = 0; g < 8; g += 2) {
    const std::uint64_t both = words(g);
    out.signs[g / 2] = signs_of(both);
    out.scales[g] = static_cast<std::uint16_t>(both >> 28 & 15);
    out.scales[g + 1] = static_cast<std::uint16_t>(both >> 60);
  }
}

// Each leaves its entries in `codes` and returns d.
template <class F>
struct ReadVectors;

template <>
struct ReadVectors<codec::IQ3_S> {
  using Block = codec::IQ3_S::Block;
  static float run(const std::byte* from, std::byte* codes, VectorParts& out) noexcept {
    const Bytes16 high = eight_bytes(from + offsetof(Block, qh));
    constexpr Halves16 kUp = {256, 128, 64, 32, 16, 8, 4, 2, 256, 128, 64, 32, 16, 8, 4, 2};
    const auto read = [&](std::size_t at, Bytes16 above) {
      const Halves16 low = widened(value_at<Bytes16>(from + offsetof(Block, qs) + at));
      const Halves16 index = low | ((widened(above) * kUp) & 256);
      __builtin_memcpy(out.index + at, &index, sizeof(index));
    };
    read(0, __builtin_shufflevector(high, high, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
    read(16, __builtin_shufflevector(high, high, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3));
    read(32, __builtin_shufflevector(high, high, 4, 4, 4, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5));
    read(48, __builtin_shufflevector(high, high, 6, 6, 6, 6, 6, 6, 6, 6, 7, 7, 7, 7, 7, 7, 7, 7));
    __builtin_memcpy(out.signs, from + offsetof(Block, signs), sizeof(out.signs));
    for (int g = 0; g < 8; ++g) {
      const auto byte = static_cast<unsigned>(from[offsetof(Block, scales) + g / 2]);
      out.scales[g] = static_cast<std::uint16_t>(byte >> (g % 2 * 4) & 15);
    }
    const std::uint16_t* index = as_numbers(out.index);
    write_entries<codec::IQ3_S>([&](std::size_t i) { return index[i]; }, codes);
    return f16_to_float(value_at<std::uint16_t>(from + offsetof(Block, d)));
  }
};

template <>
struct ReadVectors<codec::IQ3_XXS> {
  using Block = codec::IQ3_XXS::Block;
  static float run(const std::byte* from, std::byte* codes, VectorParts& out) noexcept {
    const std::byte* index = from + offsetof(Block, qs);
    write_entries<codec::IQ3_XXS>([&](std::size_t i) { return static_cast<std::size_t>(index[i]); },
                                  codes);
    const std::byte* words = from + offsetof(Block, signs);
    read_words([&](int g) { return value_at<std::uint64_t>(words + 4 * g); }, out);
    return f16_to_float(value_at<std::uint16_t>(from + offsetof(Block, d)));
  }
};

template <>
struct ReadVectors<codec::IQ2_S> {
  using Block = codec::IQ2_S::Block;
  static float run(const std::byte* from, std::byte* codes, VectorParts& out) noexcept {
    const Bytes16 high = eight_bytes(from + offsetof(Block, qh));
    constexpr Halves16 kUp = {256, 64, 16, 4, 256, 64, 16, 4, 256, 64, 16, 4, 256, 64, 16, 4};
    const auto read = [&](std::size_t at, Bytes16 above) {
      const Halves16 low = widened(value_at<Bytes16>(from + offsetof(Block, qs) + at));
      const Halves16 index = low | ((widened(above) * kUp) & 768);
      __builtin_memcpy(out.index + at, &index, sizeof(index));
    };
    read(0, __builtin_shufflevector(high, high, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3));
    read(16, __builtin_shufflevector(high, high, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7));
    __builtin_memcpy(out.signs, from + offsetof(Block, signs), sizeof(out.signs));
    const Halves16 scales = nibbles(eight_bytes(from + offsetof(Block, scales)));
    __builtin_memcpy(out.scales, &scales, sizeof(scales));
    const std::uint16_t* index = as_numbers(out.index);
    write_entries<codec::IQ2_S>([&](std::size_t i) { return index[i]; }, codes);
    return f16_to_float(value_at<std::uint16_t>(from + offsetof(Block, d)));
  }
};

template <>
struct ReadVectors<codec::IQ2_XS> {
  using Block = codec::IQ2_XS::Block;
  static float run(const std::byte* from, std::byte* codes, VectorParts& out) noexcept {
    Bytes16 sevens[2];
    for (std::size_t i = 0; i < 2; ++i) {
      const auto both = value_at<Halves16>(from + offsetof(Block, qs) + 32 * i);
      const Halves16 index = both & 511;
      __builtin_memcpy(out.index + 16 * i, &index, sizeof(index));
      sevens[i] = __builtin_convertvector(both >> 9, Bytes16);
    }
    __builtin_memcpy(out.signs, sevens, sizeof(out.signs));
    for (std::uint64_t& signs : out.signs) signs = with_even(signs);
    const Halves16 scales = nibbles(eight_bytes(from + offsetof(Block, scales)));
    __builtin_memcpy(out.scales, &scales, sizeof(scales));
    const std::uint16_t* index = as_numbers(out.index);
    write_entries<codec::IQ2_XS>([&](std::size_t i) { return index[i]; }, codes);
    return f16_to_float(value_at<std::uint16_t>(from + offsetof(Block, d)));
  }
};

template <>
struct ReadVectors<codec::IQ2_XXS> {
  using Block = codec::IQ2_XXS::Block;
  static float run(const std::byte* from, std::byte* codes, VectorParts& out) noexcept {
    const std::byte* groups = from + offsetof(Block, groups);
    write_entries<codec::IQ2_XXS>(
        [&](std::size_t i) { return static_cast<std::size_t>(groups[i / 4 * 8 + i % 4]); }, codes);
    const auto word = [&](int g) { return value_at<std::uint32_t>(groups + 8 * g + 4); };
    read_words([&](int g) { return word(g) | std::uint64_t{word(g + 1)} << 32; }, out);
    return f16_to_float(value_at<std::uint16_t>(from + offsetof(Block, d)));
  }
};

// A whole block: biased codes and the steps of its groups.
template <class F>
inline void unpack_vectors(const std::byte* from, std::byte* codes, float* steps) noexcept {
  constexpr codec::Grid kGrid = F::kFormat.grid;
  VectorParts parts;
  const float d = ReadVectors<F>::run(from, codes, parts) * kGrid.unit;
  write_steps(d, parts, kGrid.groups(), steps);
  add_signs<kBufferedBias>(codes, parts.signs);
}

// What is added to the levels of eight columns that are one up, and one down.
constexpr std::uint64_t kShiftsOfIq1[2] = {
    kEveryByte * static_cast<unsigned>(kBufferedBias + codec::IQ1_S::kLevels[0] + 1),
    kEveryByte* static_cast<unsigned>(kBufferedBias + codec::IQ1_S::kLevels[0] - 1)};

// Of entries whose number has the shift above its eleven bits.
template <class F>
[[gnu::always_inline]] inline void write_shifted(const std::uint16_t* index,
                                                 std::byte* codes) noexcept {
  index = as_numbers(index);
#pragma GCC unroll 16
  for (std::size_t i = 0; i < 32; ++i) {
    const unsigned number = index[i];
    std::uint64_t word = kEntryBytes<F>[number & 2047u] + kShiftsOfIq1[number >> 11];
    asm("" : "+r"(word));
    __builtin_memcpy(codes + 8 * i, &word, sizeof(word));
  }
}

inline void unpack_iq1_s(const std::byte* from, std::byte* codes, float* steps) noexcept {
  using Block = codec::IQ1_S::Block;
  VectorParts parts;
  const auto high = value_at<Halves8>(from + offsetof(Block, qh));
  constexpr Halves8 kUp = {256, 32, 4, 0, 256, 32, 4, 0};
  constexpr Halves8 kFourth = {0, 0, 0, 1792, 0, 0, 0, 1792};
  const auto read = [&](std::size_t at, Halves8 of_vector) {
    const Halves8 low =
        __builtin_convertvector(value_at<Bytes8>(from + offsetof(Block, qs) + at), Halves8);
    const Halves8 above = ((of_vector * kUp) & 1792) | ((of_vector >> 1) & kFourth);
    const Halves8 index = low | above | (of_vector >> 15 << 11);
    __builtin_memcpy(parts.index + at, &index, sizeof(index));
  };
  read(0, __builtin_shufflevector(high, high, 0, 0, 0, 0, 1, 1, 1, 1));
  read(8, __builtin_shufflevector(high, high, 2, 2, 2, 2, 3, 3, 3, 3));
  read(16, __builtin_shufflevector(high, high, 4, 4, 4, 4, 5, 5, 5, 5));
  read(24, __builtin_shufflevector(high, high, 6, 6, 6, 6, 7, 7, 7, 7));
  const Halves8 scales = high >> 12 & 7;
  __builtin_memcpy(parts.scales, &scales, sizeof(scales));
  const float d = f16_to_float(value_at<std::uint16_t>(from + offsetof(Block, d)));
  write_steps(d * codec::IQ1_S::kFormat.grid.unit, parts, 8, steps);
  write_shifted<codec::IQ1_S>(parts.index, codes);
}

inline void unpack_iq1_m(const std::byte* from, std::byte* codes, float* steps) noexcept {
  using Block = codec::IQ1_M::Block;
  VectorParts parts;
  const auto high = value_at<Bytes16>(from + offsetof(Block, qh));
  constexpr Halves16 kUp = {256, 16, 256, 16, 256, 16, 256, 16, 256, 16, 256, 16, 256, 16, 256, 16};
  const auto read = [&](std::size_t at, Bytes16 twice) {
    const Halves16 low = widened(value_at<Bytes16>(from + offsetof(Block, qs) + at));
    const Halves16 index = low | ((widened(twice) * kUp) & 3840);
    __builtin_memcpy(parts.index + at, &index, sizeof(index));
  };
  read(0, __builtin_shufflevector(high, high, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7));
  read(16, __builtin_shufflevector(high, high, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14,
                                   15, 15));
  const auto words = value_at<std::uint64_t>(from + offsetof(Block, scales));
  const std::uint64_t d =
      (words >> 12 & 15) | (words >> 24 & 0xf0) | (words >> 36 & 0xf00) | (words >> 48 & 0xf000);
  for (int g = 0; g < 16; ++g) {
    parts.scales[g] = static_cast<std::uint16_t>(words >> (g / 4 * 16 + g % 4 * 3) & 7);
  }
  write_steps(f16_to_float(static_cast<std::uint16_t>(d)) * codec::IQ1_M::kFormat.grid.unit, parts,
              16, steps);
  write_shifted<codec::IQ1_M>(parts.index, codes);
}

inline void set_steps(const std::byte* d, float* steps) noexcept {
  const float step = f16_to_float(value_at<std::uint16_t>(d));
  for (int g = 0; g < 8; ++g) steps[g] = step;
}

inline void unpack_tq2(const std::byte* from, std::byte* codes, float* steps) noexcept {
  codec::TQ2_0::Block block;
  __builtin_memcpy(&block, from, sizeof(block));
  set_steps(from + offsetof(codec::TQ2_0::Block, d), steps);
  for (int run = 0; run < 8; ++run) {
    const std::uint8_t* bytes = block.qs + run / 4 * 32;
    const int shift = run % 4 * 2;
    for (int i = 0; i < 32; ++i) {
      codes[32 * run + i] = static_cast<std::byte>((bytes[i] >> shift & 3) + kBufferedBias - 1);
    }
  }
}

// The digits of up to sixteen bytes, of each byte `stride` apart.
template <std::size_t kBytes>
[[gnu::always_inline]] inline void write_digits(const std::byte* from, int digits,
                                                std::size_t stride, std::byte* codes) noexcept {
  Bytes16 bytes{};
  __builtin_memcpy(&bytes, from, kBytes);
  Halves16 rest = widened(bytes);
  constexpr std::uint16_t kLowest = kBufferedBias - 1;
  for (int digit = 0; digit < digits; ++digit, codes += stride) {
    const Halves16 thrice = rest + rest + rest;
    const Bytes16 out = __builtin_convertvector((thrice >> 8) + kLowest, Bytes16);
    __builtin_memcpy(codes, &out, kBytes);
    rest = thrice & 255;
  }
}

inline void unpack_tq1(const std::byte* from, std::byte* codes, float* steps) noexcept {
  set_steps(from + offsetof(codec::TQ1_0::Block, d), steps);
  constexpr auto& kParts = codec::TQ1_0::kDigits;
  static_assert(kParts[0].bytes == 32 && kParts[1].bytes == 16 && kParts[2].bytes == 4);
  write_digits<16>(from + kParts[0].at, kParts[0].digits, 32, codes);
  write_digits<16>(from + kParts[0].at + 16, kParts[0].digits, 32, codes + 16);
  codes += kParts[0].digits * kParts[0].bytes;
  write_digits<16>(from + kParts[1].at, kParts[1].digits, 16, codes);
  codes += kParts[1].digits * kParts[1].bytes;
  write_digits<4>(from + kParts[2].at, kParts[2].digits, 4, codes);
}

using UnpackBuffered = void (*)(const std::byte*, std::byte*, float*) noexcept;
inline UnpackBuffered unpack_of(DType type) noexcept {
  switch (type) {
    case DType::kIQ3_S:
      return unpack_vectors<codec::IQ3_S>;
    case DType::kIQ3_XXS:
      return unpack_vectors<codec::IQ3_XXS>;
    case DType::kIQ2_S:
      return unpack_vectors<codec::IQ2_S>;
    case DType::kIQ2_XS:
      return unpack_vectors<codec::IQ2_XS>;
    case DType::kIQ2_XXS:
      return unpack_vectors<codec::IQ2_XXS>;
    case DType::kIQ1_M:
      return unpack_iq1_m;
    case DType::kIQ1_S:
      return unpack_iq1_s;
    case DType::kTQ2_0:
      return unpack_tq2;
    case DType::kTQ1_0:
      return unpack_tq1;
    default:
      return nullptr;
  }
}
// Columns to a step of those.
inline std::size_t buffered_group(DType type) noexcept {
  const bool narrow = type == DType::kIQ2_S || type == DType::kIQ2_XS || type == DType::kIQ1_M;
  return narrow ? 16 : 32;
}

template <std::size_t kGroupCols>
struct FormatBuffered : NaturalFormat {
  static constexpr std::size_t kBlock = 256, kGroup = kGroupCols;
  static constexpr int kBias = kBufferedBias;
  static constexpr bool kOffset = false;
  struct Raw {
    alignas(64) std::byte code[kLanes][kBlock];
    Real step[kBlock / kGroup], offset[1];
  };
  static void load(const LaneRows& rows, const Encoding& e, std::size_t col, std::size_t,
                   Raw& raw) noexcept {
    alignas(64) float steps[kLanes][kBlock / kGroup];
    const UnpackBuffered unpack = unpack_of(e.dtype);
    const std::size_t at = col / kBlock * info(e.dtype).block_bytes;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      unpack(rows.at[0][lane] + at, raw.code[lane], steps[lane]);
    }
    const std::byte* of_rows[kLanes];
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      of_rows[lane] = reinterpret_cast<const std::byte*>(steps[lane]);
    }
    for (std::size_t i = 0; i < kBlock / kGroup; i += 4) {
      Word part[4];
      load_16(of_rows, i * sizeof(float), part);
      for (std::size_t k = 0; k < 4; ++k) raw.step[i + k] = as_real(part[k]);
    }
  }
  template <int g>
  [[gnu::always_inline]] static void codes(const Raw& raw, Word (&out)[8]) noexcept {
    const std::byte* rows[kLanes];
    for (std::size_t lane = 0; lane < kLanes; ++lane) rows[lane] = raw.code[lane];
    Word part[4];
    load_16(rows, 32 * g, part);
    for (int i = 0; i < 4; ++i) out[i] = part[i];
    load_16(rows, 32 * g + 16, part);
    for (int i = 0; i < 4; ++i) out[4 + i] = part[i];
  }
};
