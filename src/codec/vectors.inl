// Blocks whose codes are entries of a codebook, to numbers and back. Included by codec/rows.inl.
#pragma once

inline std::int16_t vector_code(const CodeBook& book, std::size_t entry, int column, bool negative,
                                bool down) noexcept {
  const int level = book.level(entry, column);
  if (book.signs != Signs::kOfLevels) return static_cast<std::int16_t>(negative ? -level : level);
  return static_cast<std::int16_t>(down ? level - 1 : level + 1);
}

// The number of a level, which is in the book.
inline unsigned level_number(const CodeBook& book, int level) noexcept {
  unsigned number = 0;
  while (number + 1 < book.levels.size() && book.levels[number] < level) ++number;
  return number;
}

// Of the entry whose bits these are; of the next one where there is none.
inline std::uint16_t entry_index(const CodeBook& book, unsigned bits) noexcept {
  std::size_t first = 0, last = book.entries.size() - 1;
  while (first < last) {
    const std::size_t middle = (first + last) / 2;
    if (book.entries[middle] < bits) {
      first = middle + 1;
    } else {
      last = middle;
    }
  }
  return static_cast<std::uint16_t>(first);
}

// Whether a code is one down from its level; levels are multiples of eight there.
inline bool is_down(std::int16_t code) noexcept { return (code & 7) == 7; }

template <class F>
struct VectorCodec {
  using Block = typename F::Block;
  static constexpr std::size_t kBytes = sizeof(Block);
  static constexpr Grid kGrid = F::kFormat.grid;
  static constexpr CodeBook kBook = kGrid.book;

  static void unpack_at(const ConstPlanes& planes, std::size_t index, FittedBlock& out) noexcept {
    Block block;
    __builtin_memcpy(&block, planes.plane[0].data() + index * kBytes, kBytes);
    VectorFields fields;
    F::read(block, fields);
    out.d = f16_to_float(fields.d) * kGrid.unit;
    for (int g = 0; g < kGrid.groups(); ++g) {
      out.scales[g] = static_cast<std::int8_t>(2 * fields.scales[g] + 1);
    }
    for (int i = 0; i < kGrid.block; ++i) {
      const bool negative = (fields.signs[i / 8] >> (i % 8) & 1) != 0;
      out.codes[i] = vector_code(kBook, fields.index[i / kBook.columns], i % kBook.columns,
                                 negative, fields.down[i / 8]);
    }
  }

  static void pack_at(const FittedBlock& in, const Planes& planes, std::size_t index) noexcept {
    VectorFields fields;
    fields.d = float_to_f16(in.d * (1 / kGrid.unit));
    for (int g = 0; g < kGrid.groups(); ++g) {
      fields.scales[g] = static_cast<std::uint8_t>(in.scales[g] / 2);
    }
    for (int v = 0; v < kGrid.block / kBook.columns; ++v) {
      unsigned bits = 0;
      for (int k = 0; k < kBook.columns; ++k) {
        const int i = v * kBook.columns + k;
        int level = in.codes[i];
        if constexpr (kBook.signs == Signs::kOfLevels) {
          const bool down = is_down(in.codes[i]);
          fields.down[i / 8] = down;
          level += down ? 1 : -1;
        } else if (level < 0) {
          level = -level;
          fields.signs[i / 8] = static_cast<std::uint8_t>(fields.signs[i / 8] | 1u << (i % 8));
        }
        bits |= level_number(kBook, level) << (k * kBook.bits);
      }
      fields.index[v] = entry_index(kBook, bits);
    }
    Block block;
    F::write(fields, block);
    __builtin_memcpy(planes.plane[0].data() + index * kBytes, &block, kBytes);
  }
};

// Digits of base three, five a byte: a byte is 256 / 243 of their number, rounded up, so that the
// highest digit is what three times the byte carries over.
struct Tq1Codec {
  using Block = TQ1_0::Block;
  static constexpr std::size_t kBytes = sizeof(Block);

  static void unpack_at(const ConstPlanes& planes, std::size_t index, FittedBlock& out) noexcept {
    std::uint8_t block[kBytes];
    __builtin_memcpy(block, planes.plane[0].data() + index * kBytes, kBytes);
    out.d = half_at(block + offsetof(Block, d));
    std::int16_t* codes = out.codes;
    for (const TQ1_0::Digits& part : TQ1_0::kDigits) {
      unsigned power = 1;
      for (int digit = 0; digit < part.digits; ++digit, power *= 3) {
        for (int i = 0; i < part.bytes; ++i) {
          const unsigned byte = (block[part.at + i] * power) & 255u;
          *codes++ = static_cast<std::int16_t>(static_cast<int>(byte * 3 >> 8) - 1);
        }
      }
    }
  }

  static void pack_at(const FittedBlock& in, const Planes& planes, std::size_t index) noexcept {
    std::uint8_t block[kBytes];
    store_half(block + offsetof(Block, d), in.d);
    const std::int16_t* codes = in.codes;
    for (const TQ1_0::Digits& part : TQ1_0::kDigits) {
      for (int i = 0; i < part.bytes; ++i) {
        unsigned number = 0;
        for (int digit = 0; digit < 5; ++digit) {
          const int code = digit < part.digits ? codes[digit * part.bytes + i] + 1 : 0;
          number = 3 * number + static_cast<unsigned>(code);
        }
        block[part.at + i] = static_cast<std::uint8_t>((number * 256 + 242) / 243);
      }
      codes += part.digits * part.bytes;
    }
    __builtin_memcpy(planes.plane[0].data() + index * kBytes, block, kBytes);
  }
};

// How the blocks of a format are read and written.
template <class F>
struct CodecSelector {
  using Type = BlockCodec<F>;
};
template <class F>
requires(F::kFormat.grid.book.is_vectors()) struct CodecSelector<F> {
  using Type = VectorCodec<F>;
};
template <>
struct CodecSelector<TQ1_0> {
  using Type = Tq1Codec;
};
