// The K-quants of int8_formats.inl, a super-block of 256 columns at once.
#pragma once

// `count` words of every row, a multiple of four.
template <int kCount>
[[gnu::always_inline]] inline void load_words(const LaneRows& rows, std::size_t offset,
                                              Word* out) noexcept {
  for (int i = 0; i < kCount; i += 4) {
    Word part[4];
    load_16(rows.at[0], offset + 4 * static_cast<std::size_t>(i), part);
    for (int j = 0; j < 4; ++j) out[i + j] = part[j];
  }
}

struct SuperBlock : NaturalFormat {
  static constexpr std::size_t kBlock = 256;
};

// What Q4_K and Q5_K have in common: d, dmin and twelve bytes of scales and minimums, six bits each
// (codec/kquants.inl, unpack_scales_k4), here four at a time.
struct Steps8 {
  Real step[8], offset[8];
  [[gnu::always_inline]] void load(const LaneRows& rows, std::size_t block) noexcept {
    Word head[4];
    load_16(rows.at[0], block, head);
    const Real d = low_half(head[0]);
    const Real m = negate(low_half(right<16>(head[0])));
    const Word low = each_byte(63), nibble = each_byte(15), top = each_byte(0x30);
    scale_bytes(and_words(head[1], low), d, step);
    scale_bytes(and_words(head[2], low), m, offset);
    scale_bytes(or_words(and_words(head[3], nibble), and_words(right<2>(head[1]), top)), d,
                step + 4);
    scale_bytes(or_words(and_words(right<4>(head[3]), nibble), and_words(right<2>(head[2]), top)),
                m, offset + 4);
  }
};

struct FormatQ4_K : SuperBlock {
  static constexpr int kBias = 0;
  static constexpr bool kOffset = true;
  struct Raw : Steps8 {
    Word qs[32];
  };
  [[gnu::always_inline]] static void load(const LaneRows& rows, const Encoding&, std::size_t col,
                                          std::size_t, Raw& raw) noexcept {
    const std::size_t block = col / 256 * sizeof(codec::BlockQ4_K);
    static_assert(offsetof(codec::BlockQ4_K, d) == 0 && offsetof(codec::BlockQ4_K, scales) == 4);
    raw.Steps8::load(rows, block);
    load_words<32>(rows, block + offsetof(codec::BlockQ4_K, qs), raw.qs);
  }
  template <int g>
  [[gnu::always_inline]] static void codes(const Raw& raw, Word (&out)[8]) noexcept {
    for (int i = 0; i < 8; ++i) {
      const Word word = raw.qs[g / 2 * 8 + i];
      out[i] = g % 2 == 0 ? low_nibbles(word) : high_nibbles(word);
    }
  }
};

struct FormatQ5_K : SuperBlock {
  static constexpr int kBias = 0;
  static constexpr bool kOffset = true;
  struct Raw : Steps8 {
    Word qs[32], qh[8];
  };
  [[gnu::always_inline]] static void load(const LaneRows& rows, const Encoding&, std::size_t col,
                                          std::size_t, Raw& raw) noexcept {
    const std::size_t block = col / 256 * sizeof(codec::BlockQ5_K);
    static_assert(offsetof(codec::BlockQ5_K, d) == 0 && offsetof(codec::BlockQ5_K, scales) == 4);
    raw.Steps8::load(rows, block);
    load_words<8>(rows, block + offsetof(codec::BlockQ5_K, qh), raw.qh);
    load_words<32>(rows, block + offsetof(codec::BlockQ5_K, qs), raw.qs);
  }
  template <int g>
  [[gnu::always_inline]] static void codes(const Raw& raw, Word (&out)[8]) noexcept {
    for (int i = 0; i < 8; ++i) {
      const Word word = raw.qs[g / 2 * 8 + i];
      const Word fifth = and_words(move_bits<g, 4>(raw.qh[i]), each_byte(16));
      out[i] = or_words(g % 2 == 0 ? low_nibbles(word) : high_nibbles(word), fifth);
    }
  }
};

struct FormatQ6_K : SuperBlock {
  static constexpr std::size_t kGroup = 16;
  static constexpr int kBias = 32;
  static constexpr bool kOffset = false;
  struct Raw {
    Word ql[32], qh[16];
    Real step[16], offset[1];
  };
  [[gnu::always_inline]] static void load(const LaneRows& rows, const Encoding&, std::size_t col,
                                          std::size_t, Raw& raw) noexcept {
    using Block = codec::BlockQ6_K;
    const std::size_t block = col / 256 * sizeof(Block);
    load_words<32>(rows, block + offsetof(Block, ql), raw.ql);
    load_words<16>(rows, block + offsetof(Block, qh), raw.qh);
    Word scales[4], tail[4];
    load_16(rows.at[0], block + offsetof(Block, scales), scales);
    load_16(rows.at[0], block + sizeof(Block) - 16, tail);
    const Real d = low_half(right<16>(tail[3]));
    for (int i = 0; i < 4; ++i) {
      scale_biased<128>(xor_words(scales[i], each_byte(128)), d, raw.step + 4 * i);
    }
  }
  template <int g>
  [[gnu::always_inline]] static void codes(const Raw& raw, Word (&out)[8]) noexcept {
    constexpr int kHalf = g / 4, kRun = g % 4;
    for (int i = 0; i < 8; ++i) {
      const Word low = raw.ql[kHalf * 16 + kRun % 2 * 8 + i];
      const Word high = and_words(move_bits<2 * kRun, 4>(raw.qh[kHalf * 8 + i]), each_byte(0x30));
      out[i] = or_words(kRun < 2 ? low_nibbles(low) : high_nibbles(low), high);
    }
  }
};

struct FormatQ3_K : SuperBlock {
  static constexpr std::size_t kGroup = 16;
  static constexpr int kBias = 4;
  static constexpr bool kOffset = false;
  struct Raw {
    Word hmask[8], qs[16];
    Real step[16], offset[1];
  };
  [[gnu::always_inline]] static void load(const LaneRows& rows, const Encoding&, std::size_t col,
                                          std::size_t, Raw& raw) noexcept {
    using Block = codec::BlockQ3_K;
    const std::size_t block = col / 256 * sizeof(Block);
    load_words<8>(rows, block + offsetof(Block, hmask), raw.hmask);
    load_words<16>(rows, block + offsetof(Block, qs), raw.qs);
    // Two bytes of qs, twelve of scales, d: the last sixteen of the block.
    Word tail[4];
    static_assert(sizeof(Block) - offsetof(Block, scales) == 14);
    load_16(rows.at[0], block + sizeof(Block) - 16, tail);
    const Real d = low_half(right<16>(tail[3]));
    const Word s0 = or_words(right<16>(tail[0]), left<16>(tail[1]));
    const Word s1 = or_words(right<16>(tail[1]), left<16>(tail[2]));
    const Word s2 = or_words(right<16>(tail[2]), left<16>(tail[3]));
    const Word top = each_byte(0x30);
    scale_biased<32>(or_words(low_nibbles(s0), and_words(left<4>(s2), top)), d, raw.step);
    scale_biased<32>(or_words(low_nibbles(s1), and_words(left<2>(s2), top)), d, raw.step + 4);
    scale_biased<32>(or_words(high_nibbles(s0), and_words(s2, top)), d, raw.step + 8);
    scale_biased<32>(or_words(high_nibbles(s1), and_words(right<2>(s2), top)), d, raw.step + 12);
  }
  template <int g>
  [[gnu::always_inline]] static void codes(const Raw& raw, Word (&out)[8]) noexcept {
    for (int i = 0; i < 8; ++i) {
      const Word low = and_words(move_bits<2 * (g % 4), 0>(raw.qs[g / 4 * 8 + i]), each_byte(3));
      out[i] = or_words(low, and_words(move_bits<g, 2>(raw.hmask[i]), each_byte(4)));
    }
  }
};

struct FormatQ2_K : SuperBlock {
  static constexpr std::size_t kGroup = 16;
  static constexpr int kBias = 0;
  static constexpr bool kOffset = true;
  struct Raw {
    Word qs[16];
    Real step[16], offset[16];
  };
  [[gnu::always_inline]] static void load(const LaneRows& rows, const Encoding&, std::size_t col,
                                          std::size_t, Raw& raw) noexcept {
    using Block = codec::BlockQ2_K;
    const std::size_t block = col / 256 * sizeof(Block);
    Word scales[4], tail[4];
    load_16(rows.at[0], block + offsetof(Block, scales), scales);
    load_words<16>(rows, block + offsetof(Block, qs), raw.qs);
    load_16(rows.at[0], block + sizeof(Block) - 16, tail);
    const Real d = low_half(tail[3]);
    const Real m = negate(low_half(right<16>(tail[3])));
    for (int i = 0; i < 4; ++i) {
      scale_bytes(low_nibbles(scales[i]), d, raw.step + 4 * i);
      scale_bytes(high_nibbles(scales[i]), m, raw.offset + 4 * i);
    }
  }
  template <int g>
  [[gnu::always_inline]] static void codes(const Raw& raw, Word (&out)[8]) noexcept {
    for (int i = 0; i < 8; ++i) {
      out[i] = and_words(move_bits<2 * (g % 4), 0>(raw.qs[g / 4 * 8 + i]), each_byte(3));
    }
  }
};
