#include "codec/fp8.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/bytes.h"

namespace pajamas::codec {
namespace {

// Eighths of an octave: 2^(i / 8). By how much the steps of E4M3 suit the weights depends on where
// between two powers of two their scale is, and nothing else; a factor of 2 is where it repeats.
constexpr std::array<float, 8> kSteps{1.0f,        1.09050773f, 1.18920712f, 1.29683955f,
                                      1.41421356f, 1.54221083f, 1.68179283f, 1.83400809f};

// What follows is integer arithmetic on the bits of magnitudes where it compares them: loops of it
// become vector code with every compiler, which float comparisons do not.
constexpr std::int32_t bits_of(float magnitude) noexcept {
  return std::bit_cast<std::int32_t>(magnitude) & 0x7FFFFFFF;
}
// Below this numbers are multiples of 2^-9, as far apart as E4M3 goes.
constexpr std::int32_t kLeastNormal = bits_of(0x1p-6f);

// 2^20 times the power of two below a magnitude: of what is added to it three bits behind that
// power are left, to the nearest, ties to even.
inline std::int32_t shift_of(float magnitude) noexcept {
  return (std::max(bits_of(magnitude), kLeastNormal) & 0x7F800000) + (20 << 23);
}

// The nearest number of E4M3 to a magnitude up to the largest.
inline float round_e4m3(float magnitude) noexcept {
  const auto shift = std::bit_cast<float>(shift_of(magnitude));
  return (magnitude + shift) - shift;
}

// The code of a value that rounds to no more than the largest: the steps that it is above its power
// of two, of which each has eight, and those of the powers before it.
inline std::uint8_t code_of(float value) noexcept {
  const float magnitude = std::abs(value);
  const std::int32_t shift = shift_of(magnitude);
  const std::int32_t steps =
      std::bit_cast<std::int32_t>(magnitude + std::bit_cast<float>(shift)) - shift;
  constexpr std::int32_t kBefore = (kLeastNormal + (20 << 23)) >> 20;
  const std::int32_t sign = std::bit_cast<std::int32_t>(value) >> 24 & 0x80;
  return static_cast<std::uint8_t>(sign | ((shift >> 20) - kBefore + steps));
}

// A tile, or what there is of it at the edges of a matrix, side by side: rows that lie far apart
// would push each other out of the cache. Zeros fill it up to whole lines.
constexpr std::uint64_t kSide = Encoding::kFp8Tile;
constexpr std::size_t kLine = 128;

struct Tile {
  std::array<float, kSide * kSide> weights;
  std::size_t size = 0;

  void load(const float* first, std::uint64_t rows, std::uint64_t cols,
            std::uint64_t row_step) noexcept {
    for (std::uint64_t r = 0; r < rows; ++r) {
      std::copy_n(first + r * row_step, cols, weights.data() + r * cols);
    }
    for (size = rows * cols; size % kLine != 0; ++size) weights[size] = 0;
  }
};

float largest_of(const Tile& tile) noexcept {
  std::array<std::int32_t, kLine> most{};
  for (std::size_t i = 0; i < tile.size; i += kLine) {
    const float* line = tile.weights.data() + i;
    for (std::size_t k = 0; k < kLine; ++k) most[k] = std::max(most[k], bits_of(line[k]));
  }
  return std::bit_cast<float>(*std::ranges::max_element(most));
}

// Sum of squared differences, in units of the scale. A sum for each place in a line, so that the
// order of additions is the same whatever the compiler makes of it.
float squared_error(const Tile& tile, float scale) noexcept {
  std::array<float, kLine> sums{};
  const float inverse = 1 / scale;
  for (std::size_t i = 0; i < tile.size; i += kLine) {
    const float* line = tile.weights.data() + i;
    for (std::size_t k = 0; k < kLine; ++k) {
      const float wanted = std::abs(line[k] * inverse);
      const float difference = round_e4m3(wanted) - wanted;
      sums[k] += difference * difference;
    }
  }
  float sum = 0;
  for (const float each : sums) sum += each;
  return sum;
}

float scale_of(const Tile& tile) noexcept {
  constexpr float kMost = std::numeric_limits<float>::max();
  const float largest = largest_of(tile);
  if (largest == 0) return 1;
  // A normal number, so that its inverse is finite.
  float least = std::max(largest / kMostE4m3, std::numeric_limits<float>::min());
  if (least > 0x1p112f) {  // rounding up could make a larger scale's weights infinite
    while (!(least * kMostE4m3 <= kMost)) least = std::nextafter(least, 0.0f);
    return least;
  }
  float best = least, best_error = kMost;
  for (const float step : kSteps) {
    const float scale = least * step;
    const float error = squared_error(tile, scale) * step * step;
    if (error < best_error) {
      best = scale;
      best_error = error;
    }
  }
  return best;
}

constexpr std::size_t kGroup = Encoding::mxfp8().group_size;

// 2^power, for powers from -127 on.
float power_of_two(int power) noexcept {
  const std::int32_t bits = power == -127 ? 0x00400000 : (power + 127) << 23;
  return std::bit_cast<float>(bits);
}

// The exponent of the smallest power of two under which a group's largest weight is no more than
// the largest number of E4M3, 1.75 * 2^8.
int least_power(const float* group) noexcept {
  std::int32_t most = 0;
  for (std::size_t i = 0; i < kGroup; ++i) most = std::max(most, bits_of(group[i]));
  constexpr std::int32_t kFraction = bits_of(kMostE4m3) & 0x007FFFFF;
  const int power = (most >> 23) - 127 - 8 + ((most & 0x007FFFFF) > kFraction ? 1 : 0);
  return std::clamp(power, -127, 127);
}

// Sum of squared differences in units of the scale, each column times its importance. In double,
// which has room for any float's square.
double group_error(const float* group, const float* importance, int power) noexcept {
  const float inverse = power_of_two(-power);
  std::array<float, kGroup> differences;
  for (std::size_t i = 0; i < kGroup; ++i) {
    const float wanted = std::abs(group[i] * inverse);
    differences[i] = round_e4m3(std::min(wanted, kMostE4m3)) - wanted;
  }
  constexpr std::size_t kSums = 4;
  std::array<double, kSums> sums{};
  for (std::size_t i = 0; i < kGroup; i += kSums) {
    for (std::size_t k = 0; k < kSums; ++k) {
      const double difference = differences[i + k];
      const double weight = importance == nullptr ? 1.0 : importance[i + k];
      sums[k] += weight * difference * difference;
    }
  }
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

}  // namespace

std::uint8_t float_to_e4m3(float value) noexcept {
  return code_of(std::clamp(value, -kMostE4m3, kMostE4m3));
}

void encode_fp8(std::span<const float> weights, std::uint64_t cols, const Planes& planes) noexcept {
  const std::uint64_t rows = weights.size() / cols;
  std::byte* scales = planes.plane[1].data();
  Tile tile;
  std::array<std::uint8_t, kSide * kSide> codes;
  for (std::uint64_t r = 0; r < rows; r += kSide) {
    for (std::uint64_t c = 0; c < cols; c += kSide) {
      const std::uint64_t height = std::min(kSide, rows - r), width = std::min(kSide, cols - c);
      tile.load(weights.data() + r * cols + c, height, width, cols);
      const float scale = scale_of(tile);
      store_le(scales, scale);
      scales += sizeof scale;
      for (std::size_t i = 0; i < tile.size; ++i) codes[i] = code_of(tile.weights[i] / scale);
      for (std::uint64_t i = 0; i < height; ++i) {
        std::memcpy(planes.plane[0].data() + (r + i) * cols + c, codes.data() + i * width, width);
      }
    }
  }
}

void encode_mxfp8(std::span<const float> weights, std::span<const float> importance,
                  std::uint64_t cols, const Planes& planes) noexcept {
  // As the fits of blocks cut weights, so that none rounds up to what is not finite.
  constexpr float kMost = 0x1.8p126f;
  std::array<float, kGroup> group;
  for (std::size_t g = 0; g < weights.size() / kGroup; ++g) {
    for (std::size_t i = 0; i < kGroup; ++i) {
      group[i] = std::clamp(weights[g * kGroup + i], -kMost, kMost);
    }
    const float* columns = importance.empty() ? nullptr : importance.data() + g * kGroup % cols;
    int power = least_power(group.data());
    if (power > -127 && group_error(group.data(), columns, power - 1) <
                            4 * group_error(group.data(), columns, power)) {
      --power;
    }
    const float inverse = power_of_two(-power);
    planes.plane[1][g] = static_cast<std::byte>(power + 127);
    std::byte* codes = planes.plane[0].data() + g * kGroup;
    for (std::size_t i = 0; i < kGroup; ++i) {
      const float value = std::clamp(group[i] * inverse, -kMostE4m3, kMostE4m3);
      codes[i] = static_cast<std::byte>(code_of(value));
    }
  }
}

}  // namespace pajamas::codec
