#include "kernels/math.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace pajamas::kernels {

void rms_norm(std::span<const float> x, std::span<const float> weight, double eps,
              std::span<float> out) noexcept {
  double squares = 0;
  for (const float v : x) squares += static_cast<double>(v) * static_cast<double>(v);
  const double mean = squares / static_cast<double>(x.size());
  const auto scale = static_cast<float>(1.0 / std::sqrt(mean + eps));
  for (std::size_t i = 0; i < x.size(); ++i) out[i] = x[i] * scale * weight[i];
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
    gate[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
  }
}

void clamped_swiglu(std::span<float> gate, std::span<const float> up, float limit) noexcept {
  for (std::size_t i = 0; i < gate.size(); ++i) {
    const float g = std::min(gate[i], limit);
    const float u = std::clamp(up[i], -limit, limit);
    gate[i] = g / (1.0f + std::exp(-1.702f * g)) * (u + 1.0f);
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
