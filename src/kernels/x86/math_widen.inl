// Stored numbers as floats. Included by x86/math_avx2.cpp and x86/math_avx512.cpp after
// kernels/math_dot.inl.
#pragma once

inline void widen_f16(const std::byte* from, std::size_t count, float* out) noexcept {
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(out + i, load_halves(from + 2 * i));
  kernels::widen_f16(from + 2 * i, count - i, out + i);
}

inline void widen_bf16(const std::byte* from, std::size_t count, float* out) noexcept {
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(out + i, load_bfloats(from + 2 * i));
  kernels::widen_bf16(from + 2 * i, count - i, out + i);
}

inline void widen_q8_0(const std::byte* from, std::size_t count, float* out) noexcept {
  constexpr std::size_t kBlock = 32, kBlockBytes = 34;
  for (std::size_t i = 0; i < count; i += kBlock, from += kBlockBytes) {
    std::uint16_t half;
    __builtin_memcpy(&half, from, sizeof(half));
    const Vector scale = splat(_cvtsh_ss(half));
    const auto* codes = reinterpret_cast<const std::uint8_t*>(from) + 2;
#pragma GCC unroll 4
    for (std::size_t c = 0; c < kBlock; c += kLanes) {
      store(out + i + c, multiply(scale, load_codes<true>(codes + c)));
    }
  }
}
