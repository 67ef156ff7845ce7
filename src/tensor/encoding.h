// How the rows of a tensor are stored: plain numbers, GGUF blocks, or MLX's affine groups.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "tensor/dtype.h"

namespace pajamas {

// A row in storage is one to three *planes*, each in its own place: a GGUF block stream or plain
// numbers are one plane; MLX affine is three: packed codes (U32), scales, biases (`dtype` each).
struct Encoding {
  static constexpr std::size_t kMaxPlanes = 3;

  DType dtype = DType::kF32;
  // MLX affine when bits != 0: `bits` 2, 3, 4, 5, 6 or 8, groups of 32, 64 or 128 columns.
  std::uint8_t bits = 0;
  std::uint8_t group_size = 0;

  static constexpr Encoding affine(int bits, int group_size, DType scale_type) noexcept {
    return {scale_type, static_cast<std::uint8_t>(bits), static_cast<std::uint8_t>(group_size)};
  }

  constexpr bool is_affine() const noexcept { return bits != 0; }
  constexpr bool is_plain() const noexcept { return !is_affine() && !is_blocked(dtype); }
  constexpr std::size_t planes() const noexcept { return is_affine() ? 3 : 1; }

  // Columns that are stored together; a row must be a multiple of it.
  constexpr std::uint64_t block_cols() const noexcept {
    return is_affine() ? group_size : info(dtype).block_elems;
  }
  constexpr bool fits(std::uint64_t cols) const noexcept { return cols % block_cols() == 0; }

  // Bytes of one row of `cols` columns in one plane; `cols` must fit.
  std::uint64_t plane_row_bytes(std::size_t plane, std::uint64_t cols) const noexcept;
  // All planes together.
  std::uint64_t row_bytes(std::uint64_t cols) const noexcept;

  std::string name() const;  // "Q4_K", "BF16", "4bit-g64"

  friend constexpr bool operator==(const Encoding&, const Encoding&) = default;
};

// MLX's own names of the three planes, as suffixes of the module's path.
inline constexpr std::array<std::string_view, Encoding::kMaxPlanes> kAffinePlaneSuffixes{
    "weight", "scales", "biases"};

// Views of consecutive rows in storage, one span a plane (unused planes are empty).
struct ConstPlanes {
  std::array<std::span<const std::byte>, Encoding::kMaxPlanes> plane;
};
struct Planes {
  std::array<std::span<std::byte>, Encoding::kMaxPlanes> plane;
};

}  // namespace pajamas
