#include "tensor/convert.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "base/bytes.h"

namespace pajamas {
namespace {

// exponent_bits/mantissa_bits of an 8-bit float with the given bias; specials are the caller's.
float small_float(std::uint8_t bits, int mantissa_bits, int bias) noexcept {
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  const int exponent = (bits & 0x7F) >> mantissa_bits;
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(mantissa), 1 - bias - mantissa_bits)
                              : std::ldexp(static_cast<float>(mantissa | (1 << mantissa_bits)),
                                           exponent - bias - mantissa_bits);
  return (bits & 0x80) ? -magnitude : magnitude;
}

template <class Stored, class Convert>
void convert_each(std::span<const std::byte> from, std::span<float> out, Convert convert) noexcept {
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = convert(load_le<Stored>(from.data() + i * sizeof(Stored)));
  }
}

}  // namespace

float e4m3_to_float(std::uint8_t bits) noexcept {
  if ((bits & 0x7F) == 0x7F) return std::numeric_limits<float>::quiet_NaN();
  return small_float(bits, 3, 7);
}

float e5m2_to_float(std::uint8_t bits) noexcept {
  if ((bits & 0x7C) == 0x7C) {
    if ((bits & 3) != 0) return std::numeric_limits<float>::quiet_NaN();
    const float infinity = std::numeric_limits<float>::infinity();
    return (bits & 0x80) ? -infinity : infinity;
  }
  return small_float(bits, 2, 15);
}

float e8m0_to_float(std::uint8_t bits) noexcept {
  if (bits == 255) return std::numeric_limits<float>::quiet_NaN();
  return std::ldexp(1.0f, static_cast<int>(bits) - 127);
}

bool converts_to_float(DType dtype) noexcept {
  return is_plain_float(dtype) || dtype == DType::kF64 || dtype == DType::kF8E4M3 ||
         dtype == DType::kF8E5M2;
}

void to_floats(DType dtype, std::span<const std::byte> from, std::span<float> out) noexcept {
  switch (dtype) {
    case DType::kF32:
      if (!out.empty()) std::memcpy(out.data(), from.data(), out.size_bytes());
      return;
    case DType::kF16:
      return convert_each<std::uint16_t>(from, out, f16_to_float);
    case DType::kBF16:
      return convert_each<std::uint16_t>(from, out, bf16_to_float);
    case DType::kF64:
      return convert_each<double>(from, out, [](double v) { return static_cast<float>(v); });
    case DType::kF8E4M3:
      return convert_each<std::uint8_t>(from, out, e4m3_to_float);
    case DType::kF8E5M2:
      return convert_each<std::uint8_t>(from, out, e5m2_to_float);
    default:
      break;  // callers ask converts_to_float first
  }
}

void from_floats(DType dtype, std::span<const float> from, std::span<std::byte> out) noexcept {
  if (dtype == DType::kF32) {
    if (!from.empty()) std::memcpy(out.data(), from.data(), from.size_bytes());
    return;
  }
  const bool half = dtype == DType::kF16;
  for (std::size_t i = 0; i < from.size(); ++i) {
    store_le(out.data() + 2 * i, half ? float_to_f16(from[i]) : float_to_bf16(from[i]));
  }
}

}  // namespace pajamas
