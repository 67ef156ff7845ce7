// How every stored format's codes, steps and offsets become registers whose lanes are rows:
// `kLanes` rows at once, four columns (one byte each) to a lane. Included, inside a namespace of
// its own, by the files that define for one instruction set
//   Word, Real          registers of 32-bit words and of floats, kLanes of each
//   words(n), and_words, or_words, left<k>, right<k>, subtract_words, equal_or(a, b, x, y)
//   multiply, as_real, to_real (signed), low_half (f16 in the low 16 bits), look_up (bytes)
//   load_16(rows, offset, out[4])   word j of 16 bytes of every row
//   add_signs<bias>(codes, signs)   256 codes made negative where a bit is set, and biased
#pragma once

// Where the rows of one panel begin; rows that do not exist are the last one again.
struct LaneRows {
  const std::byte* at[Encoding::kMaxPlanes][kLanes];
  std::size_t bytes[Encoding::kMaxPlanes];  // of one row
};

// 16 bytes at `offset`, of which those beyond the row are zero.
inline void load_part(const LaneRows& rows, int plane, std::size_t offset,
                      Word (&out)[4]) noexcept {
  const std::size_t bytes = rows.bytes[plane];
  if (offset + 16 <= bytes) return load_16(rows.at[plane], offset, out);
  alignas(64) std::byte copy[kLanes][16] = {};
  const std::byte* at[kLanes];
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    if (offset < bytes) __builtin_memcpy(copy[lane], rows.at[plane][lane] + offset, bytes - offset);
    at[lane] = copy[lane];
  }
  load_16(at, 0, out);
}

// Bits from `kFrom` up moved to `kTo`; the caller masks.
template <int kFrom, int kTo>
[[gnu::always_inline]] inline Word move_bits(Word word) noexcept {
  if constexpr (kFrom > kTo) return right<kFrom - kTo>(word);
  if constexpr (kFrom < kTo) return left<kTo - kFrom>(word);
  return word;
}
#include "codec/words.inl"
// Bits from kShift up, as many as kMask has, at the bottom of every byte.
template <int kShift, unsigned kMask>
[[gnu::always_inline]] inline Word bits_of_bytes(Word word) noexcept {
  if constexpr (kMask == 255) return word;
  return and_words(move_bits<kShift, 0>(word), each_byte(kMask));
}
template <int kByte>
[[gnu::always_inline]] inline Real byte_at(Word word) noexcept {
  if constexpr (kByte == 3) return to_real(right<24>(word));
  return to_real(and_words(right<8 * kByte>(word), words(255)));
}
// Four unsigned bytes, times `unit`, to four consecutive steps.
[[gnu::always_inline]] inline void scale_bytes(Word word, Real unit, Real* out) noexcept {
  out[0] = multiply(unit, byte_at<0>(word));
  out[1] = multiply(unit, byte_at<1>(word));
  out[2] = multiply(unit, byte_at<2>(word));
  out[3] = multiply(unit, byte_at<3>(word));
}
// Likewise of bytes that stand for byte - kBias.
template <int kBias>
[[gnu::always_inline]] inline void scale_biased(Word word, Real unit, Real* out) noexcept {
  const Word mask = words(255), bias = words(kBias);
  out[0] = multiply(unit, to_real(subtract_words(and_words(word, mask), bias)));
  out[1] = multiply(unit, to_real(subtract_words(and_words(right<8>(word), mask), bias)));
  out[2] = multiply(unit, to_real(subtract_words(and_words(right<16>(word), mask), bias)));
  out[3] = multiply(unit, to_real(subtract_words(right<24>(word), bias)));
}

// A format is: kBlock columns are read at once; a step for every kGroup of them; what is multiplied
// is code + kBias, up to 255 if kWide; codes<g> gives the eight words of group g of 32 columns, in
// kOrder.
struct NaturalFormat {
  static constexpr Int8Order kOrder = Int8Order::kNatural;
  static constexpr bool kWide = false;
  static constexpr std::size_t kGroup = 32;
  static constexpr std::size_t kPlanes = 1;
};

// Eight blocks of 32 columns as one run of words, since their bytes begin anywhere. The last block
// of a row may have fewer.
template <class Block>
struct BlockRun {
  static constexpr std::size_t kBytes = 8 * sizeof(Block);
  static_assert(kBytes % 8 == 0);
  Word word[kBytes / 4];

  [[gnu::always_inline]] void load(const LaneRows& rows, std::size_t col,
                                   std::size_t cols) noexcept {
    const std::size_t first = col / 32 * sizeof(Block);
    Word part[4];
    for (std::size_t at = 0; at + 16 <= kBytes; at += 16) {
      if (cols == 256) {
        load_16(rows.at[0], first + at, part);
      } else {
        load_part(rows, 0, first + at, part);
      }
      for (std::size_t i = 0; i < 4; ++i) word[at / 4 + i] = part[i];
    }
    if constexpr (kBytes % 16 != 0) {
      load_part(rows, 0, first + kBytes - 8, part);
      word[kBytes / 4 - 2] = part[0];
      word[kBytes / 4 - 1] = part[1];
    }
  }
  // The four bytes from kByte on.
  template <std::size_t kByte>
  [[gnu::always_inline]] Word at() const noexcept {
    constexpr std::size_t kWord = kByte / 4;
    constexpr int kShift = 8 * (kByte % 4);
    if constexpr (kShift == 0) {
      return word[kWord];
    } else {
      return or_words(right<kShift>(word[kWord]), left<32 - kShift>(word[kWord + 1]));
    }
  }
  // The same where only as many bytes as the word at `kByte` has left are wanted.
  template <std::size_t kByte>
  [[gnu::always_inline]] Word start_at() const noexcept {
    return move_bits<8 * (kByte % 4), 0>(word[kByte / 4]);
  }
};

[[gnu::always_inline]] inline Real half_e8m0(Word e) noexcept { return as_real(half_e8m0_bits(e)); }
[[gnu::always_inline]] inline Real half_e4m3(Word e) noexcept {
  return multiply(low_half(e4m3_half_bits(e)), real(kPerE4m3Half / 2));
}

// What is multiplied is code + bias: a byte from 0. From 128 on, products of AVX2 and NEON need the
// form `wide`, which takes 128 off again.
template <class F>
inline constexpr bool kWideCodes = F::kFormat.grid.max_code - F::kFormat.grid.min_code > 127;
template <class F>
inline constexpr int kCodeBias = kWideCodes<F> ? 128 : -F::kFormat.grid.min_code;

// The levels of a table as bytes, the bias added.
template <class F>
consteval std::array<std::uint8_t, 16> biased_levels() {
  constexpr codec::Grid kGrid = F::kFormat.grid;
  std::array<std::uint8_t, 16> table{};
  for (std::size_t i = 0; i < kGrid.book.levels.size(); ++i) {
    table[i] = static_cast<std::uint8_t>(kGrid.book.levels[i] + kCodeBias<F>);
  }
  return table;
}

// From the bits of four codes to what is multiplied.
template <class F>
[[gnu::always_inline]] inline Word code_bytes(Word bits) noexcept {
  if constexpr (!F::kFormat.grid.book.empty()) {
    alignas(16) static constexpr std::array<std::uint8_t, 16> kTable = biased_levels<F>();
    return look_up(kTable.data(), bits);
  } else if constexpr (F::kFormat.layout.low.bits == 8) {
    return xor_words(bits, each_byte(128));
  } else {
    return bits;
  }
}

// Blocks of 32 columns with a step (and an offset) of their own.
template <class F>
struct FormatOf32 : NaturalFormat {
  using Block = typename F::Block;
  static constexpr codec::BlockLayout kLayout = F::kFormat.layout;
  static constexpr codec::CodeBits kLow = kLayout.low;
  static_assert(kLayout.scales == codec::Scales::kNone && kLayout.high.bits == 0);
  static constexpr std::size_t kBlock = 256;
  static constexpr bool kOffset = F::kFormat.grid.has_offset(), kWide = kWideCodes<F>;
  static constexpr int kBias = kCodeBias<F>;
  struct Raw {
    BlockRun<Block> run;
    Real step[8], offset[8];
  };

  // For the eight blocks of a run.
  template <std::size_t g = 0>
  [[gnu::always_inline]] static void set_steps(Raw& raw) noexcept {
    const Word d = raw.run.template start_at<g * sizeof(Block) + kLayout.d>();
    if constexpr (F::kFormat.grid.scale_type == DType::kF8E8M0) {
      raw.step[g] = half_e8m0(and_words(d, words(255)));
    } else {
      raw.step[g] = low_half(d);
    }
    if constexpr (kOffset) {
      raw.offset[g] = low_half(raw.run.template start_at<g * sizeof(Block) + kLayout.m>());
    }
    if constexpr (g < 7) set_steps<g + 1>(raw);
  }
  [[gnu::always_inline]] static void load(const LaneRows& rows, const Encoding&, std::size_t col,
                                          std::size_t cols, Raw& raw) noexcept {
    raw.run.load(rows, col, cols);
    set_steps(raw);
  }
  // Bits 4 i to 4 i + 3 of `word`, as bit 4 of every byte.
  template <int i>
  [[gnu::always_inline]] static Word fifth_bits(Word word) noexcept {
    return or_words(or_words(and_words(move_bits<4 * i, 4>(word), words(1u << 4)),
                             and_words(move_bits<4 * i + 1, 12>(word), words(1u << 12))),
                    or_words(and_words(move_bits<4 * i + 2, 20>(word), words(1u << 20)),
                             and_words(move_bits<4 * i + 3, 28>(word), words(1u << 28))));
  }
  template <int g, int i = 0>
  [[gnu::always_inline]] static void codes(const Raw& raw, Word (&out)[8]) noexcept {
    constexpr std::size_t kAt = g * sizeof(Block);
    constexpr auto kRun = kLow.run[static_cast<std::size_t>(4 * i / kLow.run_cols)];
    constexpr std::size_t kByte = kLow.at + kRun.byte + 4 * i % kLow.run_cols;
    Word bits =
        bits_of_bytes<kRun.shift, (1u << kLow.bits) - 1>(raw.run.template at<kAt + kByte>());
    if constexpr (kLayout.fifth_at != codec::BlockLayout::kNone) {
      bits = or_words(bits, fifth_bits<i>(raw.run.template at<kAt + kLayout.fifth_at>()));
    }
    out[i] = code_bytes<F>(bits);
    if constexpr (i < 7) codes<g, i + 1>(raw, out);
  }
};

// MXFP4 and NVFP4 in two planes, the nibbles in the order of columns.
template <class F>
struct FormatE2m1Planes : NaturalFormat {
  static constexpr std::size_t kPlanes = 2;
  static constexpr std::size_t kBlock = 256, kGroup = F::kFormat.grid.group;
  static constexpr int kBias = kCodeBias<F>;
  static constexpr bool kOffset = false;
  static constexpr Int8Order kOrder = Int8Order::kByTwo;
  struct Raw {
    Word code[32];
    Real step[kBlock / kGroup], offset[1];
  };
  [[gnu::always_inline]] static Real step_of(Word scale) noexcept {
    if constexpr (F::kFormat.grid.scale_type == DType::kF8E8M0) {
      return half_e8m0(scale);
    } else {
      return half_e4m3(scale);
    }
  }
  [[gnu::always_inline]] static void load(const LaneRows& rows, const Encoding&, std::size_t col,
                                          std::size_t cols, Raw& raw) noexcept {
    Word part[4];
    load_part(rows, 1, col / kGroup, part);
    for (std::size_t i = 0; i < kBlock / kGroup / 4; ++i) {
      const Word mask = words(255);
      raw.step[4 * i] = step_of(and_words(part[i], mask));
      raw.step[4 * i + 1] = step_of(and_words(right<8>(part[i]), mask));
      raw.step[4 * i + 2] = step_of(and_words(right<16>(part[i]), mask));
      raw.step[4 * i + 3] = step_of(right<24>(part[i]));
    }
    for (std::size_t g = 0; g < cols / 32; ++g) {
      load_part(rows, 0, (col / 32 + g) * 16, part);
      for (std::size_t i = 0; i < 4; ++i) raw.code[4 * g + i] = part[i];
    }
  }
  template <int g>
  [[gnu::always_inline]] static void codes(const Raw& raw, Word (&out)[8]) noexcept {
    for (int i = 0; i < 4; ++i) {
      out[2 * i] = code_bytes<F>(low_nibbles(raw.code[4 * g + i]));
      out[2 * i + 1] = code_bytes<F>(high_nibbles(raw.code[4 * g + i]));
    }
  }
};

// Word i of a run of four columns in a stream of kBits a code, for a group that starts at `from`.
template <int kBits, int i>
[[gnu::always_inline]] inline Word affine_codes(const Word* from) noexcept {
  constexpr int kAt = 4 * kBits * i, kWord = kAt / 32, kShift = kAt % 32;
  Word word = from[kWord];
  if constexpr (kShift != 0) word = right<kShift>(word);
  if constexpr (kShift + 4 * kBits > 32) {
    word = or_words(word, left<32 - kShift>(from[kWord + 1]));
  }
  constexpr unsigned kMask = (1u << kBits) - 1;
  return or_words(
      or_words(and_words(word, words(kMask)), and_words(left<8 - kBits>(word), words(kMask << 8))),
      or_words(and_words(left<2 * (8 - kBits)>(word), words(kMask << 16)),
               and_words(left<3 * (8 - kBits)>(word), words(kMask << 24))));
}

// MLX. The last block of a row may have fewer columns, a multiple of 32.
template <int kBits>
struct FormatAffine : NaturalFormat {
  static constexpr std::size_t kPlanes = 3;
  static constexpr std::size_t kBlock = 256;
  static constexpr int kBias = 0;
  static constexpr bool kOffset = true, kWide = kBits == 8;
  static constexpr Int8Order kOrder = kBits == 4   ? Int8Order::kByTwo
                                      : kBits == 2 ? Int8Order::kByFour
                                                   : Int8Order::kNatural;
  struct Raw {
    Word code[8 * kBits];
    Real step[8], offset[8];
  };
  // One float for each group of 32, from the plane's 2 or 4 bytes for each group of the encoding.
  [[gnu::always_inline]] static void load_scales(const LaneRows& rows, int plane, const Encoding& e,
                                                 std::size_t col, std::size_t cols,
                                                 Real (&out)[8]) noexcept {
    const std::size_t same = e.group_size / 32u, count = cols / e.group_size;
    const std::size_t first = col / e.group_size;
    Word part[4];
    for (std::size_t s = 0; s < count; ++s) {
      Real value;
      if (e.dtype == DType::kF32) {
        if (s % 4 == 0) load_part(rows, plane, (first + s) * 4, part);
        value = as_real(part[s % 4]);
      } else {
        if (s == 0) load_part(rows, plane, first * 2, part);
        const Word word = s % 2 == 0 ? part[s / 2] : right<16>(part[s / 2]);
        value = e.dtype == DType::kBF16 ? as_real(left<16>(word)) : low_half(word);
      }
      for (std::size_t i = 0; i < same; ++i) out[s * same + i] = value;
    }
  }
  [[gnu::always_inline]] static void load(const LaneRows& rows, const Encoding& e, std::size_t col,
                                          std::size_t cols, Raw& raw) noexcept {
    load_scales(rows, 1, e, col, cols, raw.step);
    load_scales(rows, 2, e, col, cols, raw.offset);
    Word part[4];
    for (std::size_t word = 0; word < cols * kBits / 32; word += 4) {
      load_part(rows, 0, col * kBits / 8 + 4 * word, part);
      for (std::size_t i = 0; i < 4; ++i) raw.code[word + i] = part[i];
    }
  }
  template <int g>
  [[gnu::always_inline]] static void codes(const Raw& raw, Word (&out)[8]) noexcept {
    const Word* from = raw.code + g * kBits;
    if constexpr (kBits == 8) {
      for (int i = 0; i < 8; ++i) out[i] = from[i];
    } else if constexpr (kBits == 4) {
      for (int i = 0; i < 4; ++i) {
        out[2 * i] = low_nibbles(from[i]);
        out[2 * i + 1] = high_nibbles(from[i]);
      }
    } else if constexpr (kBits == 2) {
      for (int i = 0; i < 2; ++i) {
        out[4 * i] = and_words(from[i], each_byte(3));
        out[4 * i + 1] = and_words(right<2>(from[i]), each_byte(3));
        out[4 * i + 2] = and_words(right<4>(from[i]), each_byte(3));
        out[4 * i + 3] = and_words(right<6>(from[i]), each_byte(3));
      }
    } else {
      out[0] = affine_codes<kBits, 0>(from);
      out[1] = affine_codes<kBits, 1>(from);
      out[2] = affine_codes<kBits, 2>(from);
      out[3] = affine_codes<kBits, 3>(from);
      out[4] = affine_codes<kBits, 4>(from);
      out[5] = affine_codes<kBits, 5>(from);
      out[6] = affine_codes<kBits, 6>(from);
      out[7] = affine_codes<kBits, 7>(from);
    }
  }
};

#include "kernels/int8_buffered.inl"
#include "kernels/int8_kquants.inl"
