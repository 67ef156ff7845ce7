// What MLX's affine codes come in (Encoding::affine).
#pragma once

#include <array>
#include <cstdint>

namespace pajamas {

// Bits of a code, and columns that share a scale.
inline constexpr std::array<int, 6> kAffineBits{2, 3, 4, 5, 6, 8};
inline constexpr std::array<int, 3> kAffineGroups{32, 64, 128};

constexpr bool is_affine_bits(std::uint64_t bits) noexcept {
  for (const int known : kAffineBits) {
    if (bits == static_cast<std::uint64_t>(known)) return true;
  }
  return false;
}
constexpr bool is_affine_group(std::uint64_t group) noexcept {
  for (const int known : kAffineGroups) {
    if (group == static_cast<std::uint64_t>(known)) return true;
  }
  return false;
}

}  // namespace pajamas
