// How the rows of a tensor are stored: plain numbers, GGUF blocks, MLX's groups, or FP8 tiles.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "tensor/dtype.h"

namespace pajamas {

// Which planes a row has.
enum class Layout : std::uint8_t {
  kStream,  // plain numbers or a stream of GGUF blocks: one plane
  kAffine,  // MLX: packed codes (U32), scales and biases (`dtype` each)
  kMxfp4,   // MLX and gpt-oss checkpoints: nibbles in the order of columns, E8M0 scales
  kMxfp8,   // MLX: E4M3 in the order of columns, E8M0 scales
  kNvfp4,   // MLX: nibbles as of kMxfp4, E4M3 scales
  kFp8,     // E4M3, and a scale (`dtype`) for every tile of 128 rows by 128 columns
};

// A row in storage is one to three *planes*, each in its own place.
struct Encoding {
  static constexpr std::size_t kMaxPlanes = 3;
  static constexpr std::uint64_t kFp8Tile = 128;

  DType dtype = DType::kF32;
  std::uint8_t bits = 0;        // of a code, where layout is not kStream
  std::uint8_t group_size = 0;  // columns that share a scale, likewise
  Layout layout = Layout::kStream;

  // `bits` 2, 3, 4, 5, 6 or 8, groups of 32, 64 or 128 columns.
  static constexpr Encoding affine(int bits, int group_size, DType scale_type) noexcept {
    return {scale_type, static_cast<std::uint8_t>(bits), static_cast<std::uint8_t>(group_size),
            Layout::kAffine};
  }
  static constexpr Encoding mxfp4() noexcept { return {DType::kMXFP4, 4, 32, Layout::kMxfp4}; }
  static constexpr Encoding mxfp8() noexcept { return {DType::kF8E4M3, 8, 32, Layout::kMxfp8}; }
  static constexpr Encoding nvfp4() noexcept { return {DType::kNVFP4, 4, 16, Layout::kNvfp4}; }
  static constexpr Encoding fp8(DType scale_type) noexcept {
    return {scale_type, 8, kFp8Tile, Layout::kFp8};
  }

  constexpr bool is_affine() const noexcept { return layout == Layout::kAffine; }
  constexpr bool is_plain() const noexcept {
    return layout == Layout::kStream && !is_blocked(dtype);
  }
  // MLX's modes of small floats: codes and scales, a byte a scale.
  constexpr bool is_small_float() const noexcept {
    return layout == Layout::kMxfp4 || layout == Layout::kMxfp8 || layout == Layout::kNvfp4;
  }
  // MXFP4 in either arrangement: the same numbers, one repacked into the other without loss.
  constexpr bool is_mxfp4() const noexcept {
    return dtype == DType::kMXFP4 && (layout == Layout::kStream || layout == Layout::kMxfp4);
  }
  constexpr std::size_t planes() const noexcept {
    return layout == Layout::kAffine ? 3 : layout == Layout::kStream ? 1 : 2;
  }

  // Columns that are stored together; a row must be a multiple of it. FP8's last tile may be cut.
  constexpr std::uint64_t block_cols() const noexcept {
    if (layout == Layout::kFp8) return 1;
    return layout == Layout::kStream ? info(dtype).block_elems : group_size;
  }
  constexpr bool fits(std::uint64_t cols) const noexcept { return cols % block_cols() == 0; }

  // Bytes of one row of `cols` columns in one plane; `cols` must fit.
  std::uint64_t plane_row_bytes(std::size_t plane, std::uint64_t cols) const noexcept;
  // Consecutive rows that share one row of this plane.
  constexpr std::uint64_t rows_sharing(std::size_t plane) const noexcept {
    return layout == Layout::kFp8 && plane == 1 ? kFp8Tile : 1;
  }
  // All planes together, as if no two rows shared anything.
  std::uint64_t row_bytes(std::uint64_t cols) const noexcept;

  std::string name() const;  // "Q4_K", "BF16", "4bit-g64", "nvfp4", "F8_E4M3"

  friend constexpr bool operator==(const Encoding&, const Encoding&) = default;
};

// MLX's modes of small floats, each in the one width and group size that it has there.
inline constexpr std::array kSmallFloats{Encoding::mxfp4(), Encoding::mxfp8(), Encoding::nvfp4()};

// MLX's own names of the planes, as suffixes of the module's path; small floats have the first two.
inline constexpr std::array<std::string_view, Encoding::kMaxPlanes> kMlxPlaneSuffixes{
    "weight", "scales", "biases"};

// Views of consecutive rows in storage, one span a plane (unused planes are empty). Rows that share
// a row of a plane each have a copy of it here.
struct ConstPlanes {
  std::array<std::span<const std::byte>, Encoding::kMaxPlanes> plane;
};
struct Planes {
  std::array<std::span<std::byte>, Encoding::kMaxPlanes> plane;
};

}  // namespace pajamas
