// The super-blocks of int8_formats.inl, 256 columns at once.
#pragma once

// `kCount` words of every row, a multiple of four.
template <std::size_t kCount>
[[gnu::always_inline]] inline void load_words(const LaneRows& rows, std::size_t offset,
                                              Word* out) noexcept {
  for (std::size_t i = 0; i < kCount; i += 4) {
    Word part[4];
    load_16(rows.at[0], offset + 4 * i, part);
    for (std::size_t j = 0; j < 4; ++j) out[i + j] = part[j];
  }
}

// The last sixteen bytes of a block.
template <class Block>
struct Tail {
  Word part[4];

  [[gnu::always_inline]] void load(const LaneRows& rows, std::size_t block) noexcept {
    load_16(rows.at[0], block + sizeof(Block) - 16, part);
  }
  // The sixteen bits at kByte of the block, in the low half of every word.
  template <std::size_t kByte>
  [[gnu::always_inline]] Word half_at() const noexcept {
    constexpr std::size_t kAt = kByte - (sizeof(Block) - 16);
    static_assert(kAt <= 14 && kAt % 2 == 0);
    return move_bits<8 * (kAt % 4), 0>(part[kAt / 4]);
  }
  // The four bytes at kByte of the block.
  template <std::size_t kByte>
  [[gnu::always_inline]] Word word_at() const noexcept {
    constexpr std::size_t kAt = kByte - (sizeof(Block) - 16);
    static_assert(kAt <= 12);
    constexpr int kShift = 8 * (kAt % 4);
    if constexpr (kShift == 0) {
      return part[kAt / 4];
    } else {
      return or_words(right<kShift>(part[kAt / 4]), left<32 - kShift>(part[kAt / 4 + 1]));
    }
  }
};

// The steps (and offsets) of a block's groups, by how its scales are stored.
template <class F, codec::Scales kScales>
struct GroupSteps;

template <class F>
struct GroupSteps<F, codec::Scales::kSixBitPairs> {
  Real step[8], offset[8];
  [[gnu::always_inline]] void load(const LaneRows& rows, std::size_t block) noexcept {
    constexpr codec::BlockLayout kLayout = F::kFormat.layout;
    static_assert(kLayout.d == 0 && kLayout.m == 2 && kLayout.scales_at == 4);
    Word head[4];
    load_16(rows.at[0], block, head);
    const Real d = low_half(head[0]);
    const Real m = negate(low_half(right<16>(head[0])));
    scale_bytes(low_pairs(head[1]), d, step);
    scale_bytes(low_pairs(head[2]), m, offset);
    scale_bytes(high_pair_scales(head[1], head[3]), d, step + 4);
    scale_bytes(high_pair_mins(head[2], head[3]), m, offset + 4);
  }
};

template <class F>
struct GroupSteps<F, codec::Scales::kBytes> {
  Real step[16], offset[1];
  [[gnu::always_inline]] void load(const LaneRows& rows, std::size_t block) noexcept {
    constexpr codec::BlockLayout kLayout = F::kFormat.layout;
    Word scales[4];
    Tail<typename F::Block> tail;
    load_16(rows.at[0], block + kLayout.scales_at, scales);
    tail.load(rows, block);
    const Real d = low_half(tail.template half_at<kLayout.d>());
    for (int i = 0; i < 4; ++i) {
      scale_biased<128>(xor_words(scales[i], each_byte(128)), d, step + 4 * i);
    }
  }
};

template <class F>
struct GroupSteps<F, codec::Scales::kSixBitsBiased> {
  Real step[16], offset[1];
  [[gnu::always_inline]] void load(const LaneRows& rows, std::size_t block) noexcept {
    constexpr codec::BlockLayout kLayout = F::kFormat.layout;
    Tail<typename F::Block> tail;
    tail.load(rows, block);
    const Real d = low_half(tail.template half_at<kLayout.d>());
    Word scales[4];
    six_bits(tail.template word_at<kLayout.scales_at>(),
             tail.template word_at<kLayout.scales_at + 4>(),
             tail.template word_at<kLayout.scales_at + 8>(), scales);
    for (int i = 0; i < 4; ++i) scale_biased<32>(scales[i], d, step + 4 * i);
  }
};

template <class F>
struct GroupSteps<F, codec::Scales::kNibbles> {
  Real step[16], offset[16];
  [[gnu::always_inline]] void load(const LaneRows& rows, std::size_t block) noexcept {
    constexpr codec::BlockLayout kLayout = F::kFormat.layout;
    Word scales[4];
    Tail<typename F::Block> tail;
    load_16(rows.at[0], block + kLayout.scales_at, scales);
    tail.load(rows, block);
    const Real d = low_half(tail.template half_at<kLayout.d>());
    const Real m = negate(low_half(tail.template half_at<kLayout.m>()));
    for (int i = 0; i < 4; ++i) {
      scale_bytes(low_nibbles(scales[i]), d, step + 4 * i);
      scale_bytes(high_nibbles(scales[i]), m, offset + 4 * i);
    }
  }
};

template <class F>
struct GroupSteps<F, codec::Scales::kSixBitsApart> {
  Real step[8], offset[1];
  // Scale g: low nibble g of `low`, high bits at 2 g of the high half of `head`.
  template <int g = 0>
  [[gnu::always_inline]] void set(Word head, Word low, Real d) noexcept {
    const Word nibble = and_words(move_bits<4 * g, 0>(low), words(15));
    const Word high = and_words(move_bits<16 + 2 * g, 4>(head), words(48));
    step[g] = multiply(d, to_real(subtract_words(or_words(nibble, high), words(32))));
    if constexpr (g < 7) set<g + 1>(head, low, d);
  }
  [[gnu::always_inline]] void load(const LaneRows& rows, std::size_t block) noexcept {
    constexpr codec::BlockLayout kLayout = F::kFormat.layout;
    static_assert(kLayout.d == 0 && kLayout.scales_at == 2);
    Word head[4];
    load_16(rows.at[0], block, head);
    set(head[0], head[1], low_half(head[0]));
  }
};

template <class F>
struct FormatOf256 : NaturalFormat {
  static constexpr codec::BlockLayout kLayout = F::kFormat.layout;
  static constexpr codec::CodeBits kLow = kLayout.low, kHigh = kLayout.high;
  static_assert(kLow.bits + kHigh.bits < 8);
  static constexpr bool kWide = kWideCodes<F>;
  static constexpr std::size_t kBlock = 256;
  static constexpr std::size_t kGroup = F::kFormat.grid.group;
  static constexpr int kBias = kCodeBias<F>;
  static constexpr bool kOffset = F::kFormat.grid.has_offset();
  struct Raw : GroupSteps<F, kLayout.scales> {
    Word low[kLow.bytes() / 4], high[kHigh.bits == 0 ? 1 : kHigh.bytes() / 4];
  };
  [[gnu::always_inline]] static void load(const LaneRows& rows, const Encoding&, std::size_t col,
                                          std::size_t, Raw& raw) noexcept {
    const std::size_t block = col / 256 * sizeof(typename F::Block);
    raw.GroupSteps<F, kLayout.scales>::load(rows, block);
    if constexpr (kHigh.bits != 0) {
      load_words<kHigh.bytes() / 4>(rows, block + kHigh.at, raw.high);
    }
    load_words<kLow.bytes() / 4>(rows, block + kLow.at, raw.low);
  }
  template <int g, int i = 0>
  [[gnu::always_inline]] static void codes(const Raw& raw, Word (&out)[8]) noexcept {
    constexpr int kCol = 32 * g + 4 * i, kInRun = kCol % kLow.run_cols;
    constexpr auto kRun = static_cast<std::size_t>(kCol / kLow.run_cols);
    constexpr auto kLowRun = kLow.run[kRun], kHighRun = kHigh.run[kRun];
    Word bits =
        bits_of_bytes<kLowRun.shift, (1u << kLow.bits) - 1>(raw.low[(kLowRun.byte + kInRun) / 4]);
    if constexpr (kHigh.bits != 0) {
      constexpr unsigned kMask = ((1u << kHigh.bits) - 1) << kLow.bits;
      const Word high =
          move_bits<kHighRun.shift, kLow.bits>(raw.high[(kHighRun.byte + kInRun) / 4]);
      bits = or_words(bits, and_words(high, each_byte(kMask)));
    }
    out[i] = code_bytes<F>(bits);
    if constexpr (i < 7) codes<g, i + 1>(raw, out);
  }
};
