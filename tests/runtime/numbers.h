// Numbers that any library gives alike, random and not.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

namespace pajamas::runtime {

class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : state_(seed) {}
  std::uint64_t bits() {  // splitmix64
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  float normal() {  // Box and Muller
    const double radius = std::sqrt(-2 * std::log(1 - uniform()));
    return static_cast<float>(radius * std::cos(2 * std::numbers::pi * uniform()));
  }
  std::vector<float> normals(std::size_t count, float scale = 1) {
    std::vector<float> out(count);
    for (float& v : out) v = normal() * scale;
    return out;
  }

 private:
  std::uint64_t state_;
};

inline std::vector<float> waves(std::size_t count, double phase) {
  std::vector<float> out(count);
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = static_cast<float>(std::sin(phase + 1.7 * static_cast<double>(i * i % 1009)));
  }
  return out;
}

}  // namespace pajamas::runtime
