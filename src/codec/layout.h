// Where a GGUF block keeps its numbers, as data: encoder, decoder and the products of kernels/ are
// written once over these descriptions and compiled for each format and instruction set.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace pajamas::codec {

using F16Bits = std::uint16_t;

// Bits of the codes, taken from one field: `run_cols` consecutive columns have theirs in as many
// consecutive bytes, all at one shift.
struct CodeBits {
  static constexpr std::size_t kMaxRuns = 16;
  struct Run {
    std::uint8_t byte = 0;  // of the run's first column, from the start of the field
    std::uint8_t shift = 0;
  };

  std::size_t at = 0;  // where the field is in the block
  int bits = 0;        // of each code; 0: the format has no such field
  int run_cols = 32;
  int runs = 0;
  std::array<Run, kMaxRuns> run{};

  constexpr std::size_t bytes() const noexcept {
    return static_cast<std::size_t>(run_cols * runs * bits) / 8;
  }
};

// 32 columns in 16 bytes: columns j and j + 16 share byte j, low nibble and high nibble.
constexpr CodeBits nibble_halves(std::size_t at) noexcept {
  return {at, 4, 16, 2, {{{0, 0}, {0, 4}}}};
}
// 256 columns in 128 bytes, eight times the same.
constexpr CodeBits stacked_nibble_halves(std::size_t at) noexcept {
  CodeBits field{at, 4, 16, 16, {}};
  for (int i = 0; i < 16; ++i) {
    field.run[static_cast<std::size_t>(i)] = {static_cast<std::uint8_t>(i / 2 * 16),
                                              static_cast<std::uint8_t>(i % 2 * 4)};
  }
  return field;
}
// 32 columns in 32 bytes.
constexpr CodeBits whole_bytes(std::size_t at) noexcept { return {at, 8, 32, 1, {{{0, 0}}}}; }
// 256 columns, run i of 32 in bytes 32 * (i / per_byte) and on, at shift bits * (i % per_byte):
// the runs of each `per_byte` share their bytes.
constexpr CodeBits stacked_runs(std::size_t at, int bits) noexcept {
  CodeBits field{at, bits, 32, 8, {}};
  const int per_byte = 8 / bits;
  for (int i = 0; i < 8; ++i) {
    field.run[static_cast<std::size_t>(i)] = {static_cast<std::uint8_t>(i / per_byte * 32),
                                              static_cast<std::uint8_t>(i % per_byte * bits)};
  }
  return field;
}

// How the groups' scales (and minimums) are stored.
enum class Scales : std::uint8_t {
  kNone,           // one group: d and m are its own
  kBytes,          // 16 signed bytes
  kNibbles,        // 16 bytes: scale low, minimum high
  kSixBitPairs,    // 12 bytes: 8 scales and 8 minimums of six bits
  kSixBitsBiased,  // 12 bytes: 16 scales of six bits, from which 32 is subtracted
  kSixBitsApart,   // 2 bytes: two high bits of 8 scales; 4 bytes: their low nibbles; less 32
};

struct BlockLayout {
  static constexpr std::size_t kNone = ~std::size_t{0};

  std::size_t d = 0;        // F16, or E8M0, a byte; kNone where it is in pieces
  std::size_t m = kNone;    // F16: the offset m
  bool subtracted = false;  // what is stored is -m, the field dmin
  Scales scales = Scales::kNone;
  std::size_t scales_at = kNone;
  CodeBits low{};
  CodeBits high{};               // the bits above `low`
  std::size_t fifth_at = kNone;  // 4 bytes: bit i is bit 4 of the code of column i
};

// What a block of vectors stores, one number each: every such format reads and writes it
// (formats/iq*.h), and everything else is written once (codec/vectors.inl).
struct VectorFields {
  F16Bits d = 0;
  std::uint8_t scales[16] = {};  // of each group; stands for 2 * scale + 1
  std::uint16_t index[64] = {};  // of each vector in the book
  std::uint8_t signs[32] = {};   // bit k: column k of these eight is negative
  bool down[32] = {};            // these eight columns are one down from their levels, not up
};

// Seven signs and the eighth, which makes the number of negative columns even.
constexpr std::uint8_t even_signs(unsigned seven) noexcept {
  unsigned parity = seven ^ seven >> 4;
  parity = (0x6996u >> (parity & 15u)) & 1u;
  return static_cast<std::uint8_t>(seven | parity << 7);
}

}  // namespace pajamas::codec
