// Keys or values as arrays, and how rows of them are stored: as numbers, or as affine codes in
// groups of a head's values. Codes stay codes where one token looks at a long text.
#pragma once

#include <mlx/array.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "runtime/kv_types.h"

namespace pajamas::runtime {

// Of q8_0, q4_0 and q3_0 the width is taken; 16-bit scales and offsets of groups of 64 come to the
// same bytes.
struct KvForm {
  KvForm(KvType kv, int head_dim);

  mlx::core::Dtype type;  // of numbers; of scales and offsets
  int dim;
  int bits = 0;  // of a code; 0: numbers
  int group = 0;
  // Rows are Hadamard-transformed, so that no value stands out of its group. Queries are then too
  // (products stay what they were), and what comes out of the values is turned back.
  bool rotated = false;
};

// Numbers; or codes, scales and offsets. [heads][positions][...] each.
using KvPlanes = std::vector<mlx::core::array>;

// [heads][n][dim] as the form stores them.
KvPlanes stored_as(const mlx::core::array& rows, const KvForm& form);
KvPlanes no_rows(int heads, int positions, const KvForm& form);
mlx::core::array numbers_of(const KvPlanes& planes, const KvForm& form, mlx::core::Dtype type);

// Positions [begin, end) of some planes.
struct KvPiece {
  std::shared_ptr<const KvPlanes> planes;
  int begin = 0;
  int end = 0;

  int size() const noexcept { return end - begin; }
  KvPlanes rows() const;
};
KvPlanes joined(std::span<const KvPiece> pieces);

// What one token sees: queries [1][heads][1][dim] over all positions of the pieces, the keys' and
// the values' alike, without copying them side by side. `sinks` is [heads].
mlx::core::array attention_over(const mlx::core::array& queries, std::span<const KvPiece> keys,
                                std::span<const KvPiece> values, const KvForm& form, float scale,
                                const std::optional<mlx::core::array>& sinks);

}  // namespace pajamas::runtime
