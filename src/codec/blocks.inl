// GGUF blocks to numbers and back, for every format of codec/formats.h, as its layout says, and
// MLX's planes of E2M1.
// Included by codec/rows.inl.
#pragma once

#include "codec/scalar_words.inl"

inline float half_e8m0(std::uint8_t e) noexcept { return std::bit_cast<float>(half_e8m0_bits(e)); }

// d is a power of two; a block of zeros may have 0, which is stored as the smallest.
inline std::uint8_t e8m0_of_half(float d) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(d);
  if (bits < 0x00800000u) return bits < 0x00400000u ? 0 : 1;
  return static_cast<std::uint8_t>((bits >> 23) + 1);
}

inline float half_e4m3(std::uint8_t e) noexcept {
  return f16_to_float(static_cast<std::uint16_t>(e4m3_half_bits(e))) * (kPerE4m3Half / 2);
}

inline float half_at(const std::uint8_t* from) noexcept {
  std::uint16_t bits;
  __builtin_memcpy(&bits, from, 2);
  return f16_to_float(bits);
}
inline void store_half(std::uint8_t* to, float value) noexcept {
  const std::uint16_t bits = float_to_f16(value);
  __builtin_memcpy(to, &bits, 2);
}

// ---- codes ----

// From the bits of a code to the number that is multiplied.
template <class F>
inline std::int16_t code_of(int bits) noexcept {
  constexpr Grid kGrid = F::kFormat.grid;
  if constexpr (!kGrid.book.empty()) {
    return kGrid.book.levels[static_cast<std::size_t>(bits)];
  } else if constexpr (F::kFormat.layout.low.bits == 8) {
    return static_cast<std::int8_t>(bits);
  } else {
    return static_cast<std::int16_t>(bits + kGrid.min_code);
  }
}

// The index of every level, counted from min_code; of equal ones the first (there is no minus zero
// among the codes, and none is stored).
template <class F>
consteval std::array<std::uint8_t, 256> level_indices() {
  constexpr Grid kGrid = F::kFormat.grid;
  std::array<std::uint8_t, 256> indices{};
  for (std::size_t i = kGrid.book.levels.size(); i-- > 0;) {
    indices[static_cast<std::size_t>(kGrid.book.levels[i] - kGrid.min_code)] =
        static_cast<std::uint8_t>(i);
  }
  return indices;
}
template <class F>
constexpr std::array<std::uint8_t, 256> kLevelIndices = level_indices<F>();

template <class F>
inline std::uint8_t bits_of_code(std::int16_t code) noexcept {
  constexpr Grid kGrid = F::kFormat.grid;
  if constexpr (!kGrid.book.empty()) {
    return kLevelIndices<F>[static_cast<std::size_t>(code - kGrid.min_code)];
  } else if constexpr (F::kFormat.layout.low.bits == 8) {
    return static_cast<std::uint8_t>(code);
  } else {
    return static_cast<std::uint8_t>(code - kGrid.min_code);
  }
}

// Columns of run kRun and of those behind it.
template <class F, std::size_t kRun = 0>
inline void unpack_codes(const std::uint8_t* block, std::int16_t* codes) noexcept {
  constexpr BlockLayout kLayout = F::kFormat.layout;
  constexpr CodeBits kLow = kLayout.low, kHigh = kLayout.high;
  constexpr int kFirst = static_cast<int>(kRun) * kLow.run_cols;
  static_assert(kHigh.bits == 0 || (kHigh.runs == kLow.runs && kHigh.run_cols == kLow.run_cols));
  const std::uint8_t* low = block + kLow.at + kLow.run[kRun].byte;
  const std::uint8_t* high = block + kHigh.at + kHigh.run[kRun].byte;
  std::uint32_t fifth = 0;
  if constexpr (kLayout.fifth_at != BlockLayout::kNone) {
    __builtin_memcpy(&fifth, block + kLayout.fifth_at, 4);
  }
  for (int i = 0; i < kLow.run_cols; ++i) {
    int bits = (low[i] >> kLow.run[kRun].shift) & ((1 << kLow.bits) - 1);
    if constexpr (kHigh.bits != 0) {
      bits |= ((high[i] >> kHigh.run[kRun].shift) & ((1 << kHigh.bits) - 1)) << kLow.bits;
    }
    if constexpr (kLayout.fifth_at != BlockLayout::kNone) {
      bits |= static_cast<int>((fifth >> (kFirst + i)) & 1u) << 4;
    }
    codes[kFirst + i] = code_of<F>(bits);
  }
  if constexpr (kRun + 1 < static_cast<std::size_t>(kLow.runs)) {
    unpack_codes<F, kRun + 1>(block, codes);
  }
}

// `block` is zeros where codes go.
template <class F, std::size_t kRun = 0>
inline void pack_codes(const std::uint8_t* bits, std::uint8_t* block) noexcept {
  constexpr BlockLayout kLayout = F::kFormat.layout;
  constexpr CodeBits kLow = kLayout.low, kHigh = kLayout.high;
  constexpr int kFirst = static_cast<int>(kRun) * kLow.run_cols;
  constexpr int kMask = (1 << kLow.bits) - 1;
  std::uint8_t* low = block + kLow.at + kLow.run[kRun].byte;
  for (int i = 0; i < kLow.run_cols; ++i) {
    low[i] = static_cast<std::uint8_t>(low[i] | (bits[kFirst + i] & kMask) << kLow.run[kRun].shift);
  }
  if constexpr (kHigh.bits != 0) {
    std::uint8_t* high = block + kHigh.at + kHigh.run[kRun].byte;
    for (int i = 0; i < kLow.run_cols; ++i) {
      high[i] = static_cast<std::uint8_t>(high[i] | (bits[kFirst + i] >> kLow.bits)
                                                        << kHigh.run[kRun].shift);
    }
  }
  if constexpr (kLayout.fifth_at != BlockLayout::kNone) {
    std::uint32_t fifth;
    __builtin_memcpy(&fifth, block + kLayout.fifth_at, 4);
    for (int i = 0; i < kLow.run_cols; ++i) {
      fifth |= static_cast<std::uint32_t>(bits[kFirst + i] >> 4) << (kFirst + i);
    }
    __builtin_memcpy(block + kLayout.fifth_at, &fifth, 4);
  }
  if constexpr (kRun + 1 < static_cast<std::size_t>(kLow.runs)) {
    pack_codes<F, kRun + 1>(bits, block);
  }
}

// ---- scales of groups ----

template <Scales kScales>
inline void unpack_scales(const std::uint8_t* from, FittedBlock& out) noexcept {
  if constexpr (kScales == Scales::kBytes) {
    __builtin_memcpy(out.scales, from, 16);
  } else if constexpr (kScales == Scales::kNibbles) {
    for (int g = 0; g < 16; ++g) {
      out.scales[g] = static_cast<std::int8_t>(from[g] & 15);
      out.mins[g] = static_cast<std::uint8_t>(from[g] >> 4);
    }
  } else if constexpr (kScales == Scales::kSixBitsApart) {
    for (int g = 0; g < 8; ++g) {
      const int low = (from[2 + g / 2] >> (g % 2 * 4)) & 15;
      const int high = (from[g / 4] >> (g % 4 * 2)) & 3;
      out.scales[g] = static_cast<std::int8_t>((low | high << 4) - 32);
    }
  } else {
    Word word[3];
    __builtin_memcpy(word, from, 12);
    if constexpr (kScales == Scales::kSixBitPairs) {
      const Word scales[2] = {low_pairs(word[0]), high_pair_scales(word[0], word[2])};
      const Word mins[2] = {low_pairs(word[1]), high_pair_mins(word[1], word[2])};
      __builtin_memcpy(out.scales, scales, 8);
      __builtin_memcpy(out.mins, mins, 8);
    } else {
      static_assert(kScales == Scales::kSixBitsBiased);
      Word scales[4];
      six_bits(word[0], word[1], word[2], scales);
      __builtin_memcpy(out.scales, scales, 16);
      for (std::int8_t& scale : out.scales) scale = static_cast<std::int8_t>(scale - 32);
    }
  }
}

// `to` is zeros.
template <Scales kScales>
inline void pack_scales(const FittedBlock& in, std::uint8_t* to) noexcept {
  if constexpr (kScales == Scales::kBytes) {
    __builtin_memcpy(to, in.scales, 16);
  } else if constexpr (kScales == Scales::kNibbles) {
    for (int g = 0; g < 16; ++g) {
      to[g] = static_cast<std::uint8_t>(in.scales[g] | in.mins[g] << 4);
    }
  } else if constexpr (kScales == Scales::kSixBitPairs) {
    for (int g = 0; g < 4; ++g) {
      const int scale = in.scales[g + 4];
      const int min = in.mins[g + 4];
      to[g] = static_cast<std::uint8_t>(in.scales[g] | (scale >> 4) << 6);
      to[g + 4] = static_cast<std::uint8_t>(in.mins[g] | (min >> 4) << 6);
      to[g + 8] = static_cast<std::uint8_t>((scale & 15) | (min & 15) << 4);
    }
  } else if constexpr (kScales == Scales::kSixBitsApart) {
    for (int g = 0; g < 8; ++g) {
      const int scale = in.scales[g] + 32;
      to[g / 4] = static_cast<std::uint8_t>(to[g / 4] | (scale >> 4) << (g % 4 * 2));
      to[2 + g / 2] = static_cast<std::uint8_t>(to[2 + g / 2] | (scale & 15) << (g % 2 * 4));
    }
  } else {
    static_assert(kScales == Scales::kSixBitsBiased);
    for (int g = 0; g < 16; ++g) {
      const int scale = in.scales[g] + 32;
      to[g % 8] = static_cast<std::uint8_t>(to[g % 8] | (scale & 15) << (g / 8 * 4));
      std::uint8_t& high = to[8 + g % 4];
      high = static_cast<std::uint8_t>(high | (scale >> 4) << (g / 4 * 2));
    }
  }
}

// ---- blocks ----

template <class F>
struct BlockCodec {
  static constexpr std::size_t kBytes = sizeof(typename F::Block);
  static constexpr BlockLayout kLayout = F::kFormat.layout;

  static void unpack_at(const ConstPlanes& planes, std::size_t index, FittedBlock& out) noexcept {
    std::uint8_t block[kBytes];
    __builtin_memcpy(block, planes.plane[0].data() + index * kBytes, kBytes);
    if constexpr (F::kFormat.grid.scale_type == DType::kF8E8M0) {
      out.d = half_e8m0(block[kLayout.d]);
    } else {
      out.d = half_at(block + kLayout.d);
    }
    if constexpr (kLayout.m != BlockLayout::kNone) {
      const float m = half_at(block + kLayout.m);
      out.m = kLayout.subtracted ? -m : m;
    }
    if constexpr (kLayout.scales != Scales::kNone) {
      unpack_scales<kLayout.scales>(block + kLayout.scales_at, out);
    }
    unpack_codes<F>(block, out.codes);
  }

  static void pack_at(const FittedBlock& in, const Planes& planes, std::size_t index) noexcept {
    std::uint8_t block[kBytes] = {};
    if constexpr (F::kFormat.grid.scale_type == DType::kF8E8M0) {
      block[kLayout.d] = e8m0_of_half(in.d);
    } else {
      store_half(block + kLayout.d, in.d);
    }
    if constexpr (kLayout.m != BlockLayout::kNone) {
      store_half(block + kLayout.m, kLayout.subtracted ? -in.m : in.m);
    }
    if constexpr (kLayout.scales != Scales::kNone) {
      pack_scales<kLayout.scales>(in, block + kLayout.scales_at);
    }
    std::uint8_t bits[F::kFormat.grid.block];
    for (int i = 0; i < F::kFormat.grid.block; ++i) bits[i] = bits_of_code<F>(in.codes[i]);
    pack_codes<F>(bits, block);
    __builtin_memcpy(planes.plane[0].data() + index * kBytes, block, kBytes);
  }
};

// MXFP4 and NVFP4 in two planes.
template <class F>
struct PlanarE2m1Codec {
  static constexpr bool kPowersOfTwo = F::kFormat.grid.scale_type == DType::kF8E8M0;
  static constexpr std::size_t kBytes = static_cast<std::size_t>(F::kFormat.grid.block) / 2;

  static void unpack_at(const ConstPlanes& planes, std::size_t index, FittedBlock& out) noexcept {
    const auto scale = static_cast<std::uint8_t>(planes.plane[1][index]);
    out.d = kPowersOfTwo ? half_e8m0(scale) : half_e4m3(scale);
    const std::byte* from = planes.plane[0].data() + index * kBytes;
    for (std::size_t i = 0; i < kBytes; ++i) {
      const int pair = static_cast<int>(from[i]);
      out.codes[2 * i] = code_of<F>(pair & 15);
      out.codes[2 * i + 1] = code_of<F>(pair >> 4);
    }
  }

  static void pack_at(const FittedBlock& in, const Planes& planes, std::size_t index) noexcept {
    planes.plane[1][index] =
        static_cast<std::byte>(kPowersOfTwo ? e8m0_of_half(in.d) : float_to_e4m3(2 * in.d));
    std::byte* to = planes.plane[0].data() + index * kBytes;
    for (std::size_t i = 0; i < kBytes; ++i) {
      to[i] = static_cast<std::byte>(bits_of_code<F>(in.codes[2 * i]) |
                                     bits_of_code<F>(in.codes[2 * i + 1]) << 4);
    }
  }
};
