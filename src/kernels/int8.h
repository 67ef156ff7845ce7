// Products of stored weights with activations rounded to eight bits: whole numbers inside a group
// of 32 (or 16) columns, floats between groups.
//
// An output is one chain of fused multiply-adds over the groups in ascending order,
//     sum = fma(float(whole), step * scale, sum), then sum = fma(offset, scale * sum_of_q, sum)
// where a group's weights are step * code + offset and `whole` the sum of code * q, which is exact
// in 32 bits; a second chain over the extras is added to it. So every table gives the same floats,
// for any number of threads and of activation rows.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/cpu.h"
#include "tensor/encoding.h"

namespace pajamas::kernels {

// Columns of activations that share a scale.
inline constexpr std::size_t kInt8Group = 32;

// In which order a product wants the columns inside a group of 32, so that codes need not be put
// into theirs.
enum class Int8Order : std::uint8_t {
  kNatural,
  kByTwo,   // every eight columns: 0 2 4 6, 1 3 5 7
  kByFour,  // every sixteen columns: 0 4 8 12, 1 5 9 13, 2 6 10 14, 3 7 11 15
};

// What a product needs of its activations beside the eight bits and the scales.
struct Int8Form {
  Int8Order order = Int8Order::kNatural;
  std::uint8_t group = 32;  // columns to a step of the weights: 16 or 32
  std::int16_t bias = 0;    // codes are multiplied as code + bias; `base` takes it off again
  bool has_offset = false;  // weights have offsets, so `sums` are needed
  bool wide = false;        // codes of eight bits

  friend constexpr bool operator==(const Int8Form&, const Int8Form&) = default;
};

// Where one activation is far larger than the others of its group, these get the scale that they
// need, and of its word of four columns (in the form's order) a second rounding tells the rest.
struct Int8Extra {
  std::uint32_t group;  // of 32 columns
  std::uint32_t word;   // 0 to 7
  std::int8_t q[4];
  float scale;
  std::int32_t base;  // -bias * sum of q
};
// How many times the largest outside its word a group's largest activation must be for an extra.
inline constexpr float kInt8ExtraFrom = 2.0f;

// Up to kInt8TileRows rows of activations, interleaved: whatever belongs to the same columns of all
// rows lies together. T = rows.
struct Int8Tile {
  std::size_t rows = 0;
  const std::int8_t* q = nullptr;      // [cols / 4][T][4], columns in the form's order
  const float* scales = nullptr;       // [cols / 32][T]
  const std::int32_t* base = nullptr;  // [cols / group][T]: -bias * sum of q; absent without a bias
  const float* sums = nullptr;         // [cols / group][T]: scale * sum of q, extras included; only
                                       // with offsets
  const Int8Extra* extras = nullptr;   // [T][cols / 32], in ascending order of groups
  const std::uint32_t* extra_counts = nullptr;  // [T]
};
inline constexpr std::size_t kInt8TileRows = 12;

// The same, to be written.
struct Int8TileOut {
  std::size_t rows = 0;
  std::int8_t* q = nullptr;
  float* scales = nullptr;
  std::int32_t* base = nullptr;
  float* sums = nullptr;
  Int8Extra* extras = nullptr;
  std::uint32_t* extra_counts = nullptr;
};

// Rows of weights where they are stored.
struct Int8Weights {
  Encoding encoding;
  std::array<const std::byte*, Encoding::kMaxPlanes> plane{};
  std::array<std::size_t, Encoding::kMaxPlanes> row_step{};  // bytes from row to row
  std::size_t rows = 0;
  std::size_t cols = 0;
};

// out[m * out_stride + n] = product of row n of the weights and row m of the tile.
struct Int8Out {
  float* out;
  std::size_t out_stride;
};

struct Int8Kernels {
  std::string_view name;  // "ref", "avx2", "avx512-vnni", "neon", "neon-dotprod"
  bool (*supported)(const CpuFeatures&) noexcept;
  // The form for these weights, or nothing (group 0) where this product has no whole-number way.
  Int8Form (*form)(const Encoding&, std::size_t cols) noexcept;
  // Rounds one row of `cols` floats into row `m` of a tile. The scale of a group is max |x| / 127,
  // the word of an extra apart; a group that is not finite gets a scale that is not a number.
  void (*round)(const float* x, std::size_t cols, const Int8Form& form, std::size_t m,
                const Int8TileOut& tile) noexcept;
  // Straight from storage, unpacking once for the whole tile of at most kInt8DirectRows.
  void (*multiply)(const Int8Weights&, const Int8Tile&, const Int8Out&) noexcept;
  // For many tiles (panel_rows 0: no such way here): `unpack` lays `panel_rows` rows (fewer at the
  // end) out as a panel of `panel_bytes(form, cols)`, aligned to 64, which `multiply_panel` takes.
  // `out` is at the panel's first row.
  std::size_t panel_rows;
  std::size_t (*panel_bytes)(const Int8Form& form, std::size_t cols) noexcept;
  void (*unpack)(const Int8Weights&, std::byte* panel) noexcept;
  void (*multiply_panel)(const Int8Form& form, const std::byte* panel, std::size_t rows,
                         std::size_t cols, const Int8Tile&, const Int8Out&) noexcept;
};
inline constexpr std::size_t kInt8DirectRows = 4;

// Every set compiled in, best first.
std::span<const Int8Kernels* const> all_int8_kernels() noexcept;

}  // namespace pajamas::kernels
