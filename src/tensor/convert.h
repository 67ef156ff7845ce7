// Conversions between float and the narrow floating-point formats: exact one way, round to nearest
// even the other. Integer arithmetic only, so every compiler and machine gives the same bits.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/dtype.h"

namespace pajamas {

constexpr float bf16_to_float(std::uint16_t bits) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// NaNs stay NaNs (quiet).
constexpr std::uint16_t float_to_bf16(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

constexpr float f16_to_float(std::uint16_t bits) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t magnitude = bits & 0x7FFFu;
  if (magnitude >= 0x7C00u) {  // infinity, NaN
    return std::bit_cast<float>(sign | 0x7F800000u | ((magnitude & 0x3FFu) << 13));
  }
  if (magnitude < 0x0400u) {  // subnormal: magnitude * 2^-24, exact in float
    const float value = static_cast<float>(magnitude) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(value));
  }
  return std::bit_cast<float>(sign | ((magnitude << 13) + 0x38000000u));
}

// Values beyond 65504 (after rounding) become infinity.
constexpr std::uint16_t float_to_f16(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<std::uint16_t>(sign | 0x7E00u);
  if (magnitude >= 0x477FF000u) return static_cast<std::uint16_t>(sign | 0x7C00u);
  if (magnitude < 0x38800000u) {  // below 2^-14: adding 0.5 rounds to a multiple of 2^-24
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) & 0x7FFFu));
  }
  const std::uint32_t rounded = magnitude - 0x38000000u + 0xFFFu + ((magnitude >> 13) & 1u);
  return static_cast<std::uint16_t>(sign | (rounded >> 13));
}

// E4M3 (finite, bias 7, S.1111.111 = NaN) and E5M2 (IEEE-like, bias 15): OCP 8-bit floats.
float e4m3_to_float(std::uint8_t bits) noexcept;
float e5m2_to_float(std::uint8_t bits) noexcept;
// 2^(bits - 127); 255 is NaN.
float e8m0_to_float(std::uint8_t bits) noexcept;

// Whether `to_floats` reads this type: all plain floats, E4M3, E5M2, F64.
bool converts_to_float(DType dtype) noexcept;

// Plain stored numbers to float. `from` holds out.size() elements; unaligned is fine.
void to_floats(DType dtype, std::span<const std::byte> from, std::span<float> out) noexcept;
// Float to F32, F16 or BF16.
void from_floats(DType dtype, std::span<const float> from, std::span<std::byte> out) noexcept;

}  // namespace pajamas
