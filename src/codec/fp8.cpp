#include "codec/fp8.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "base/bytes.h"

namespace pajamas::codec {
namespace {

// Eighths of an octave: 2^(i / 8). By how much the steps of E4M3 suit the weights depends on where
// between two powers of two their scale is, and nothing else; a factor of 2 is where it repeats.
constexpr std::array kSteps{1.0f,        1.09050773f, 1.18920712f, 1.29683955f,
                            1.41421356f, 1.54221083f, 1.68179283f, 1.83400809f};

// Numbers below this are multiples of 2^-9, as far apart as E4M3 goes.
constexpr float kLeastNormal = 0x1p-6f;

// The nearest number of E4M3 to a magnitude up to 448, ties to even. Both ways are computed, so
// that a loop of these has no branches.
inline float round_e4m3(float magnitude) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(magnitude);
  const std::uint32_t three_bits = (bits + 0x7FFFFu + (bits >> 20 & 1u)) & ~0xFFFFFu;
  // Of 2^14 and more a float has no smaller fractions than 2^-9.
  const float multiple = (magnitude + 0x1p14f) - 0x1p14f;
  return magnitude < kLeastNormal ? multiple : std::bit_cast<float>(three_bits);
}

// The code of a number that E4M3 has.
inline std::uint8_t code_of(float magnitude) noexcept {
  const auto normal = (std::bit_cast<std::uint32_t>(magnitude) >> 20) - ((127u - 7u) << 3);
  const auto subnormal = static_cast<std::uint32_t>(static_cast<std::int32_t>(magnitude * 0x1p9f));
  return static_cast<std::uint8_t>(magnitude < kLeastNormal ? subnormal : normal);
}

// A tile, or what there is of it at the edges of a matrix.
struct Tile {
  const float* first;
  std::uint64_t rows, cols;
  std::uint64_t row_step;  // from row to row

  const float* row(std::uint64_t i) const noexcept { return first + i * row_step; }
};

float largest_of(const Tile& tile) noexcept {
  std::uint32_t most = 0;  // magnitudes are in order as integers
  for (std::uint64_t r = 0; r < tile.rows; ++r) {
    const float* row = tile.row(r);
    for (std::uint64_t c = 0; c < tile.cols; ++c) {
      most = std::max(most, std::bit_cast<std::uint32_t>(row[c]) & 0x7FFFFFFFu);
    }
  }
  return std::bit_cast<float>(most);
}

// Sum of squared differences, in units of the scale. In lanes, so that the order of the sum is the
// same whatever the compiler makes of it.
float squared_error(const Tile& tile, float scale) noexcept {
  constexpr std::uint64_t kLanes = 8;
  std::array<float, kLanes> sums{};
  const float inverse = 1 / scale;
  const auto add = [&](float weight, float& sum) {
    const float wanted = std::abs(weight * inverse);
    const float difference = std::min(round_e4m3(wanted), kMostE4m3) - wanted;
    sum += difference * difference;
  };
  for (std::uint64_t r = 0; r < tile.rows; ++r) {
    const float* row = tile.row(r);
    std::uint64_t c = 0;
    for (; c + kLanes <= tile.cols; c += kLanes) {
      for (std::uint64_t lane = 0; lane < kLanes; ++lane) add(row[c + lane], sums[lane]);
    }
    for (; c < tile.cols; ++c) add(row[c], sums[c % kLanes]);
  }
  float sum = 0;
  for (const float lane : sums) sum += lane;
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

}  // namespace

std::uint8_t float_to_e4m3(float value) noexcept {
  const std::uint32_t sign = std::bit_cast<std::uint32_t>(value) >> 24 & 0x80u;
  const float magnitude = std::min(round_e4m3(std::abs(value)), kMostE4m3);
  return static_cast<std::uint8_t>(sign | code_of(magnitude));
}

void encode_fp8(std::span<const float> weights, std::uint64_t cols, const Planes& planes) noexcept {
  constexpr std::uint64_t kSide = Encoding::kFp8Tile;
  const std::uint64_t rows = weights.size() / cols;
  auto* codes = reinterpret_cast<std::uint8_t*>(planes.plane[0].data());
  std::byte* scales = planes.plane[1].data();
  for (std::uint64_t r = 0; r < rows; r += kSide) {
    for (std::uint64_t c = 0; c < cols; c += kSide) {
      const Tile tile{weights.data() + r * cols + c, std::min(kSide, rows - r),
                      std::min(kSide, cols - c), cols};
      const float scale = scale_of(tile);
      store_le(scales, scale);
      scales += sizeof scale;
      for (std::uint64_t i = 0; i < tile.rows; ++i) {
        const float* from = tile.row(i);
        std::uint8_t* to = codes + (r + i) * cols + c;
        for (std::uint64_t k = 0; k < tile.cols; ++k) to[k] = float_to_e4m3(from[k] / scale);
      }
    }
  }
}

}  // namespace pajamas::codec
