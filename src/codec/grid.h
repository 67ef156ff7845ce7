// What a quantized format can store, as numbers: which codes, scales and offsets.
#pragma once

#include <cstdint>
#include <span>

#include "tensor/dtype.h"

namespace pajamas::codec {

// The codes of formats that cannot store every whole number between two.
struct CodeBook {
  // By index as stored: entry i is levels[i * columns] to levels[i * columns + columns - 1].
  // Ascending, but of small floats. Empty: every whole number from min_code to max_code.
  std::span<const std::int8_t> levels{};
  int columns = 1;           // that one entry sets together
  bool small_float = false;  // E2M1: the spacing doubles with every power of two

  constexpr bool empty() const noexcept { return levels.empty(); }
};

// A block is `groups()` groups; column i of group g stands for
// d * scales[g] * codes[i] + m * mins[g].
struct Grid {
  int block = 1;  // columns of a block
  int group = 1;  // columns that share a scale (and a minimum)
  int min_code = 0;
  int max_code = 0;
  int min_scale = 1;  // both 1: the block has one group, d is its scale
  int max_scale = 1;  //
  int max_min = 0;    // 0: the format has no offset; 1: m is the offset of the one group
  DType scale_type = DType::kF16;  // of d and m; E8M0: half of it, a power of two from 2^-128
  CodeBook book{};

  constexpr int groups() const noexcept { return block / group; }
  constexpr bool has_offset() const noexcept { return max_min != 0; }
};

}  // namespace pajamas::codec
