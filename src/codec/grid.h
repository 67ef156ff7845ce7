// What a quantized format can store, as numbers: which codes, scales and offsets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/dtype.h"

namespace pajamas::codec {

struct BookHalves;

// How the signs of a vector's columns are stored.
enum class Signs : std::uint8_t {
  kOfLevels,  // by the levels alone
  kEach,      // one for each column
  kEven,      // likewise, but an even number of an entry's columns is negative
};

// The codes of formats that cannot store every whole number between two.
struct CodeBook {
  // Ascending, but of small floats. Empty: every whole number from min_code to max_code.
  std::span<const std::int8_t> levels{};
  bool small_float = false;  // E2M1: the spacing doubles with every power of two

  // Vectors: one entry sets `columns` columns together, each to the level whose number is in `bits`
  // bits of the entry, the first column's lowest. Ascending. (codec/codebook_tables.h)
  std::span<const std::uint16_t> entries{};
  const BookHalves* halves = nullptr;  // of the entries (codec/book_halves.h)
  int columns = 1;
  int bits = 0;
  Signs signs = Signs::kOfLevels;
  int shifted = 0;  // so many columns together are one up or one down from their levels; 0: none

  constexpr bool empty() const noexcept { return levels.empty(); }
  constexpr bool is_vectors() const noexcept { return columns > 1; }
  // Of column `column` of an entry, before sign and shift.
  constexpr int level(std::size_t entry, int column) const noexcept {
    return level_of(entries[entry], column);
  }
  constexpr int level_of(unsigned entry_bits, int column) const noexcept {
    return levels[(entry_bits >> (column * bits)) & ((1u << bits) - 1)];
  }
};

// A block is `groups()` groups; column i of group g stands for
// d * scales[g] * codes[i] + m * mins[g].
struct Grid {
  int block = 1;  // columns of a block
  int group = 1;  // columns that share a scale (and a minimum)
  int min_code = 0;
  int max_code = 0;
  int min_scale = 1;        // both 1: the block has one group, d is its scale
  int max_scale = 1;        //
  bool odd_scales = false;  // scales are odd
  int max_min = 0;          // 0: the format has no offset; 1: m is the offset of the one group
  // Of d and m: F32, F16, BF16, E4M3; E8M0: half of it, a power of two from 2^-128.
  DType scale_type = DType::kF16;
  float unit = 1;  // d is a stored number of that type times this
  CodeBook book{};

  constexpr int groups() const noexcept { return block / group; }
  constexpr bool has_offset() const noexcept { return max_min != 0; }
};

}  // namespace pajamas::codec
