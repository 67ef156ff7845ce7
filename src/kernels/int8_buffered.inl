// Formats whose codes are entries of a codebook or digits of base three, for the products of
// int8_product.inl: the block of each row is unpacked to bytes by itself, eight columns at a time,
// and read from there as if it were stored so. Which format it is is asked once a block, so that
// all share the compiled products.
#pragma once

// Every code is stored with this added; none is further from zero than 62.
constexpr int kBufferedBias = 64;
constexpr std::uint64_t kEveryByte = 0x0101010101010101u;

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

// All bits of byte k where bit k is set.
consteval std::array<std::uint64_t, 256> spread_bits() {
  std::array<std::uint64_t, 256> out{};
  for (unsigned bits = 0; bits < 256; ++bits) {
    for (int k = 0; k < 8; ++k) {
      if ((bits >> k & 1u) != 0) out[bits] |= std::uint64_t{255} << (8 * k);
    }
  }
  return out;
}
alignas(64) constexpr std::array<std::uint64_t, 256> kSpreadBits = spread_bits();

// `steps` are `stride` apart.
template <class F>
inline void unpack_vectors(const std::byte* from, std::byte* codes, float* steps,
                           std::size_t stride) noexcept {
  constexpr codec::Grid kGrid = F::kFormat.grid;
  constexpr codec::CodeBook kBook = kGrid.book;
  typename F::Block block;
  __builtin_memcpy(&block, from, sizeof(block));
  codec::VectorFields fields;
  F::read(block, fields);
  const float d = f16_to_float(fields.d) * kGrid.unit;
  for (int g = 0; g < kGrid.groups(); ++g) {
    steps[static_cast<std::size_t>(g) * stride] = d * static_cast<float>(2 * fields.scales[g] + 1);
  }
  for (int i = 0; i < 32; ++i) {
    std::uint64_t word;
    if constexpr (kBook.columns == 8) {
      word = kEntryBytes<F>[fields.index[i]];
    } else {
      word = kEntryBytes<F>[fields.index[2 * i]] |
             std::uint64_t{kEntryBytes<F>[fields.index[2 * i + 1]]} << 32;
    }
    // No byte overflows into its neighbour: both ends are within 0 to 127.
    if constexpr (kBook.signs == codec::Signs::kOfLevels) {
      const int shift = kBufferedBias + kBook.levels[0] + (fields.down[i] ? -1 : 1);
      word += kEveryByte * static_cast<unsigned>(shift);
    } else {
      word = word + kEveryByte * kBufferedBias - 2 * (word & kSpreadBits[fields.signs[i]]);
    }
    __builtin_memcpy(codes + 8 * i, &word, 8);
  }
}

inline void set_steps(float d, float* steps, std::size_t stride) noexcept {
  for (std::size_t g = 0; g < 8; ++g) steps[g * stride] = d;
}

inline void unpack_tq2(const std::byte* from, std::byte* codes, float* steps,
                       std::size_t stride) noexcept {
  codec::TQ2_0::Block block;
  __builtin_memcpy(&block, from, sizeof(block));
  set_steps(f16_to_float(block.d), steps, stride);
  for (int run = 0; run < 8; ++run) {
    const std::uint8_t* bytes = block.qs + run / 4 * 32;
    const int shift = run % 4 * 2;
    for (int i = 0; i < 32; ++i) {
      codes[32 * run + i] = static_cast<std::byte>((bytes[i] >> shift & 3) + kBufferedBias - 1);
    }
  }
}

inline void unpack_tq1(const std::byte* from, std::byte* codes, float* steps,
                       std::size_t stride) noexcept {
  std::uint8_t block[sizeof(codec::TQ1_0::Block)];
  __builtin_memcpy(block, from, sizeof(block));
  std::uint16_t d;
  __builtin_memcpy(&d, block + offsetof(codec::TQ1_0::Block, d), 2);
  set_steps(f16_to_float(d), steps, stride);
  for (const codec::TQ1_0::Digits& part : codec::TQ1_0::kDigits) {
    unsigned power = 1;
    for (int digit = 0; digit < part.digits; ++digit, power *= 3) {
      for (int i = 0; i < part.bytes; ++i) {
        const unsigned byte = (block[part.at + i] * power) & 255u;
        *codes++ = static_cast<std::byte>((byte * 3 >> 8) + kBufferedBias - 1);
      }
    }
  }
}

using UnpackBuffered = void (*)(const std::byte*, std::byte*, float*, std::size_t) noexcept;
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
      return unpack_vectors<codec::IQ1_M>;
    case DType::kIQ1_S:
      return unpack_vectors<codec::IQ1_S>;
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
    alignas(64) float steps[kBlock / kGroup][kLanes];
    const UnpackBuffered unpack = unpack_of(e.dtype);
    const std::size_t at = col / kBlock * info(e.dtype).block_bytes;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      unpack(rows.at[0][lane] + at, raw.code[lane], &steps[0][lane], kLanes);
    }
    for (std::size_t i = 0; i < kBlock / kGroup; ++i) {
      __builtin_memcpy(&raw.step[i], steps[i], sizeof(Real));
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
