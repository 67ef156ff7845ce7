#include "kernels/math.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>

namespace pajamas::kernels {

void rms_norm(std::span<const float> x, std::span<const float> weight, double eps,
              std::span<float> out) noexcept {
  double squares = 0;
  for (const float v : x) squares += static_cast<double>(v) * static_cast<double>(v);
  const double mean = squares / static_cast<double>(x.size());
  const auto scale = static_cast<float>(1.0 / std::sqrt(mean + eps));
  for (std::size_t i = 0; i < x.size(); ++i) out[i] = x[i] * scale * weight[i];
}

namespace {

// exp(x) within two units in the last place; plain arithmetic, so that loops over it are compiled
// to vectors. NaN stays.
inline float exp_of(float x) noexcept {
  x = x > 89.0f ? 89.0f : x;  // infinity from there
  x = x < -104.0f ? -104.0f : x;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves no room for fractions
  const float rounded = x * 1.44269504f + kRound;
  const float n = rounded - kRound;
  // x - n ln 2 in two steps: the first product is exact.
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  // Taylor's series: |r| <= ln 2 / 2, so the next term is below 2^-26.
  float p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  // Two factors, since 2^n itself need not be a normal number. n stands in the last bits of what
  // was rounded; read there, NaN gives some whole number too, where a conversion has no defined
  // result.
  const std::int32_t shift =
      std::bit_cast<std::int32_t>(rounded) - std::bit_cast<std::int32_t>(kRound);
  const std::int32_t half = shift >> 1;
  return p * std::bit_cast<float>((half + 127) << 23) *
         std::bit_cast<float>((shift - half + 127) << 23);
}

}  // namespace

// As f16_to_float, without branches, for the compiler's vectors. Scaling by 2^112 moves the bias
// of the exponent, of subnormal numbers too.
void widen_f16(const std::byte* from, std::size_t count, float* out) noexcept {
  for (std::size_t i = 0; i < count; ++i) {
    std::uint16_t half;
    std::memcpy(&half, from + 2 * i, sizeof(half));
    const std::uint32_t magnitude = half & 0x7FFFu;
    const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
    const std::uint32_t special = magnitude >= 0x7C00u ? 0x7F800000u : 0u;
    const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
    out[i] = std::bit_cast<float>(std::bit_cast<std::uint32_t>(scaled) | special | sign);
  }
}

void widen_bf16(const std::byte* from, std::size_t count, float* out) noexcept {
  for (std::size_t i = 0; i < count; ++i) {
    std::uint16_t half;
    std::memcpy(&half, from + 2 * i, sizeof(half));
    out[i] = std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16);
  }
}

void widen_q8_0(const std::byte* from, std::size_t count, float* out) noexcept {
  constexpr std::size_t kBlock = 32, kBlockBytes = 34;
  for (std::size_t i = 0; i < count; i += kBlock, from += kBlockBytes) {
    std::int8_t codes[kBlock];
    float scale;
    widen_f16(from, 1, &scale);
    std::memcpy(codes, from + 2, sizeof(codes));
    for (std::size_t c = 0; c < kBlock; ++c) out[i + c] = scale * static_cast<float>(codes[c]);
  }
}

namespace {

// e^x of x <= 0 in double within two units in the last place, again without a branch; e^-700 of
// what is below.
inline double exp_below_zero(double x) noexcept {
  constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52, as above
  constexpr double kLn2High = 6.93147180369123816490e-01, kLn2Low = 1.90821492927058770002e-10;
  // Taylor's series: |r| <= ln 2 / 2, so the next term is below 2^-52.
  constexpr double kTerms[] = {1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880,
                               1.0 / 40320,     1.0 / 5040,     1.0 / 720,     1.0 / 120,
                               1.0 / 24,        1.0 / 6,        1.0 / 2,       1.0};
  x = x < -700.0 ? -700.0 : x;
  const double rounded = x * 1.4426950408889634074 + kRound;
  const double n = rounded - kRound;
  const double r = (x - n * kLn2High) - n * kLn2Low;
  double p = kTerms[0];
  for (std::size_t i = 1; i < std::size(kTerms); ++i) p = p * r + kTerms[i];
  p = p * r + 1.0;
  return std::bit_cast<double>(std::bit_cast<std::uint64_t>(p) +
                               (std::bit_cast<std::uint64_t>(rounded) << 52));
}

}  // namespace

double log_sum_exp(std::span<const float> x) noexcept {
  constexpr std::size_t kLanes = 16;
  float tops[kLanes], bad[kLanes] = {};  // v - v is 0 of what is finite, else NaN
  std::fill_n(tops, kLanes, x.front());
  const std::size_t whole = x.size() / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) {
      tops[j] = tops[j] < x[i + j] ? x[i + j] : tops[j];
      bad[j] += x[i + j] - x[i + j];
    }
  }
  float top = x.front(), doubt = 0;
  for (std::size_t i = whole; i < x.size(); ++i) {
    top = std::max(top, x[i]);
    doubt += x[i] - x[i];
  }
  for (std::size_t j = 0; j < kLanes; ++j) {
    top = std::max(top, tops[j]);
    doubt += bad[j];
  }
  if (doubt != 0) return std::numeric_limits<double>::quiet_NaN();
  const auto shift = static_cast<double>(top);
  double lanes[kLanes] = {}, sum = 0;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) {
      lanes[j] += exp_below_zero(static_cast<double>(x[i + j]) - shift);
    }
  }
  for (std::size_t i = whole; i < x.size(); ++i) {
    sum += exp_below_zero(static_cast<double>(x[i]) - shift);
  }
  for (const double lane : lanes) sum += lane;
  return shift + std::log(sum);
}

double exp_sum(std::span<float> x, float scale, float top) noexcept {
  float lanes[16] = {};
  std::size_t i = 0;
  for (; i + 16 <= x.size(); i += 16) {
    for (std::size_t j = 0; j < 16; ++j) {
      x[i + j] = exp_of(x[i + j] * scale - top);
      lanes[j] += x[i + j];
    }
  }
  double sum = 0;
  for (; i < x.size(); ++i) {
    x[i] = exp_of(x[i] * scale - top);
    sum += static_cast<double>(x[i]);
  }
  for (const float lane : lanes) sum += static_cast<double>(lane);
  return sum;
}

void softmax(std::span<float> x, float sink) noexcept {
  const float top = std::max(*std::max_element(x.begin(), x.end()), sink);
  double sum = static_cast<double>(std::exp(sink - top));
  for (float& v : x) {
    v = std::exp(v - top);
    sum += static_cast<double>(v);
  }
  const auto scale = static_cast<float>(1.0 / sum);
  for (float& v : x) v *= scale;
}

void silu_multiply(std::span<float> gate, std::span<const float> up) noexcept {
  for (std::size_t i = 0; i < gate.size(); ++i) {
    gate[i] = gate[i] / (1.0f + exp_of(-gate[i])) * up[i];
  }
}

void clamped_swiglu(std::span<float> gate, std::span<const float> up, float limit) noexcept {
  for (std::size_t i = 0; i < gate.size(); ++i) {
    const float g = std::min(gate[i], limit);
    const float u = std::clamp(up[i], -limit, limit);
    gate[i] = g / (1.0f + exp_of(-1.702f * g)) * (u + 1.0f);
  }
}

void rope_angles(std::uint64_t position, std::span<const double> frequencies, double factor,
                 std::span<float> cos, std::span<float> sin) noexcept {
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double angle = static_cast<double>(position) * frequencies[i];
    cos[i] = static_cast<float>(factor * std::cos(angle));
    sin[i] = static_cast<float>(factor * std::sin(angle));
  }
}

void rope(std::span<float> x, std::span<const float> cos, std::span<const float> sin) noexcept {
  const std::size_t half = cos.size();
  for (std::size_t i = 0; i < half; ++i) {
    const float a = x[i];
    const float b = x[i + half];
    x[i] = a * cos[i] - b * sin[i];
    x[i + half] = b * cos[i] + a * sin[i];
  }
}

void rope_interleaved(std::span<float> x, std::span<const float> cos,
                      std::span<const float> sin) noexcept {
  for (std::size_t i = 0; i < cos.size(); ++i) {
    const float a = x[2 * i];
    const float b = x[2 * i + 1];
    x[2 * i] = a * cos[i] - b * sin[i];
    x[2 * i + 1] = b * cos[i] + a * sin[i];
  }
}

void hadamard(std::span<float> x) noexcept {
  while (!x.empty()) {
    const std::size_t size = std::bit_floor(x.size());
    for (std::size_t half = 1; half < size; half *= 2) {
      for (std::size_t begin = 0; begin < size; begin += 2 * half) {
        for (std::size_t i = begin; i < begin + half; ++i) {
          const float a = x[i];
          const float b = x[i + half];
          x[i] = a + b;
          x[i + half] = a - b;
        }
      }
    }
    const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(size)));
    for (std::size_t i = 0; i < size; ++i) x[i] *= scale;
    x = x.subspan(size);
  }
}

}  // namespace pajamas::kernels
