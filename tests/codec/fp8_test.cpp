// The encoders of FP8 tiles and of MXFP8, against nearest numbers found by trying all of them.
#include "codec/fp8.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "codec/codec.h"
#include "tensor/convert.h"

namespace pajamas::codec {
namespace {

constexpr std::uint64_t kSide = Encoding::kFp8Tile;

// Of the codes of this sign the one whose number is nearest, the even one of two.
std::uint8_t nearest(double value) {
  const int sign = std::signbit(value) ? 128 : 0;
  int best = sign;
  for (int code = sign; code < sign + 127; ++code) {
    const double error = std::abs(value - e4m3_to_float(static_cast<std::uint8_t>(code)));
    const double least = std::abs(value - e4m3_to_float(static_cast<std::uint8_t>(best)));
    if (error < least || (error == least && code % 2 == 0)) best = code;
  }
  return static_cast<std::uint8_t>(best);
}

TEST(FloatToE4m3, IsTheNearestAndTheEvenOneOfTwo) {
  for (int code = 0; code < 256; ++code) {
    const float value = e4m3_to_float(static_cast<std::uint8_t>(code));
    if (std::isnan(value)) continue;
    EXPECT_EQ(float_to_e4m3(value), code);
  }
  for (int code = 0; code < 126; ++code) {
    const float low = e4m3_to_float(static_cast<std::uint8_t>(code));
    const float high = e4m3_to_float(static_cast<std::uint8_t>(code + 1));
    const float middle = (low + high) / 2;
    for (const float value : {middle, std::nextafter(middle, low), std::nextafter(middle, high),
                              low + (high - low) / 3}) {
      EXPECT_EQ(float_to_e4m3(value), nearest(value)) << value;
      EXPECT_EQ(float_to_e4m3(-value), nearest(-value)) << -value;
    }
  }
  EXPECT_EQ(float_to_e4m3(465), 0x7E);  // 448; 464 and more would be NaN
  EXPECT_EQ(float_to_e4m3(-std::numeric_limits<float>::max()), 0xFE);
  EXPECT_EQ(float_to_e4m3(std::numeric_limits<float>::denorm_min()), 0);
}

// Rows of weights as they are stored, and read back.
struct Encoded {
  Encoded(const std::vector<float>& weights, std::uint64_t cols) {
    const std::uint64_t rows = weights.size() / cols;
    tiles_across = (cols + kSide - 1) / kSide;
    codes.resize(weights.size());
    scales.resize((rows + kSide - 1) / kSide * tiles_across);
    encode_fp8(weights, cols,
               {{std::as_writable_bytes(std::span(codes)),
                 std::as_writable_bytes(std::span(scales)),
                 {}}});
    // For the decoder each row has its own scales.
    std::vector<float> each;
    for (std::uint64_t r = 0; r < rows; ++r) {
      const auto from = scales.begin() + static_cast<std::ptrdiff_t>(r / kSide * tiles_across);
      each.insert(each.end(), from, from + static_cast<std::ptrdiff_t>(tiles_across));
    }
    decoded.resize(weights.size());
    decode_rows(Encoding::fp8(DType::kF32),
                {{std::as_bytes(std::span(codes)), std::as_bytes(std::span(each)), {}}}, cols,
                decoded);
  }
  float scale_of(std::uint64_t row, std::uint64_t col) const {
    return scales[row / kSide * tiles_across + col / kSide];
  }

  std::uint64_t tiles_across = 0;
  std::vector<std::uint8_t> codes;
  std::vector<float> scales, decoded;
};

std::vector<float> weights_of(std::uint64_t rows, std::uint64_t cols) {
  std::vector<float> weights(rows * cols);
  std::uint32_t state = 12345;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    float sum = 0;  // near a normal distribution
    for (int k = 0; k < 6; ++k) {
      state = state * 1664525u + 1013904223u;
      sum += static_cast<float>(state >> 8) * 0x1p-24f - 0.5f;
    }
    weights[i] = sum * 0.02f;
  }
  return weights;
}

// 300 by 200: the last tiles are cut on both sides.
TEST(EncodeFp8, EveryCodeIsTheNearestForItsTilesScale) {
  constexpr std::uint64_t kRows = 300, kCols = 200;
  std::vector<float> weights = weights_of(kRows, kCols);
  for (std::uint64_t r = 128; r < 256; ++r) {
    std::fill_n(weights.begin() + static_cast<std::ptrdiff_t>(r * kCols), 128, 0.0f);
  }
  weights[290 * kCols + 150] = -3;  // in the corner: an outlier that only its tile may notice
  const Encoded encoded(weights, kCols);
  ASSERT_EQ(encoded.scales.size(), 6u);
  EXPECT_EQ(encoded.scale_of(128, 0), 1.0f);  // of zeros
  for (std::uint64_t r = 0; r < kRows; ++r) {
    for (std::uint64_t c = 0; c < kCols; ++c) {
      const float weight = weights[r * kCols + c], scale = encoded.scale_of(r, c);
      ASSERT_EQ(encoded.codes[r * kCols + c], nearest(weight / scale)) << r << ' ' << c;
      ASSERT_EQ(encoded.decoded[r * kCols + c],
                e4m3_to_float(encoded.codes[r * kCols + c]) * scale);
    }
  }
  EXPECT_GE(encoded.scale_of(290, 150), 3.0f / 448);
  EXPECT_LT(encoded.scale_of(290, 0), 0.1f / 448);
}

// The scale cuts nothing off, and what it is chosen for holds: in sum 2 % less squared error than
// the smallest one.
TEST(EncodeFp8, ScalesAreBetterThanTheSmallest) {
  constexpr std::uint64_t kTiles = 16;
  const std::vector<float> weights = weights_of(kTiles * kSide, kSide);
  const Encoded encoded(weights, kSide);
  double own = 0, smallest = 0;
  for (std::uint64_t t = 0; t < kTiles; ++t) {
    const auto tile = std::span(weights).subspan(t * kSide * kSide, kSide * kSide);
    float largest = 0;
    for (const float weight : tile) largest = std::max(largest, std::abs(weight));
    EXPECT_GE(encoded.scales[t], largest / 448);
    EXPECT_LT(encoded.scales[t], largest / 448 * 2);
    const float scale = largest / 448;
    double tile_own = 0, tile_smallest = 0;
    for (std::size_t i = 0; i < tile.size(); ++i) {
      const double mine = double{encoded.decoded[t * kSide * kSide + i]} - tile[i];
      const double other = double{e4m3_to_float(nearest(tile[i] / scale))} * scale - tile[i];
      tile_own += mine * mine;
      tile_smallest += other * other;
    }
    EXPECT_LE(tile_own, tile_smallest * 1.0001) << t;
    own += tile_own;
    smallest += tile_smallest;
  }
  EXPECT_LT(own, 0.99 * smallest);
}

TEST(EncodeFp8, HasAFiniteNumberForEveryFiniteWeight) {
  using Limits = std::numeric_limits<float>;
  for (const float size : {Limits::max(), Limits::max() / 1.02f, 0x1p121f, 1e30f, 1e-37f,
                           Limits::min(), 1e-41f, Limits::denorm_min()}) {
    std::vector<float> weights(kSide * kSide, size);
    weights[1] = -size / 3;
    const Encoded encoded(weights, kSide);
    EXPECT_TRUE(std::isnormal(encoded.scales[0])) << size;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      ASSERT_TRUE(std::isfinite(encoded.decoded[i])) << size;
      ASSERT_LE(std::abs(encoded.decoded[i] - weights[i]),
                std::max(std::abs(weights[i]) / 15, 0x1p-9f * Limits::min()))
          << size;
    }
  }
}

// Weights that suit a scale with which the largest would be rounded up beyond what a float can be.
TEST(EncodeFp8, DoesNotRoundTheLargestFloatUp) {
  constexpr float kMost = std::numeric_limits<float>::max();
  std::vector<float> weights(kSide * kSide, kMost / 448 * 208 * 1.09050773f);
  weights[1] = kMost;
  const Encoded encoded(weights, kSide);
  for (const float value : encoded.decoded) ASSERT_TRUE(std::isfinite(value));
}

// Rows of a tile come together, but not all tiles need to: the same bytes.
TEST(EncodeFp8, DoesNotDependOnHowManyTilesComeAtATime) {
  constexpr std::uint64_t kRows = 3 * kSide + 5, kCols = 160;
  const std::vector<float> weights = weights_of(kRows, kCols);
  const Encoded whole(weights, kCols);
  std::vector<std::uint8_t> codes;
  std::vector<float> scales;
  for (std::uint64_t r = 0; r < kRows; r += kSide) {
    const std::uint64_t rows = std::min(kSide, kRows - r);
    const auto from = weights.begin() + static_cast<std::ptrdiff_t>(r * kCols);
    const Encoded part({from, from + static_cast<std::ptrdiff_t>(rows * kCols)}, kCols);
    codes.insert(codes.end(), part.codes.begin(), part.codes.end());
    scales.insert(scales.end(), part.scales.begin(), part.scales.end());
  }
  EXPECT_EQ(codes, whole.codes);
  EXPECT_EQ(scales, whole.scales);
}

// Of every power of two, with the importance of the columns or without, the one of least error (the
// larger one of two), under it the nearest codes; of zeros and of what is next to nothing too.
TEST(EncodeMxfp8, TakesTheBestPowerOfTwoAndTheNearestCodes) {
  constexpr std::uint64_t kRows = 6, kCols = 96, kGroup = 32;
  std::vector<float> weights = weights_of(kRows, kCols);
  std::fill_n(weights.begin(), kGroup, 0.0f);
  for (std::size_t i = 32; i < 64; ++i) weights[i] *= 0x1p-128f;
  for (std::size_t i = 64; i < 96; ++i) weights[i] *= 0x1p120f;
  // Cut where half the power suits all others better; not where the cut column counts.
  for (std::size_t i = 0; i < 2 * kGroup; ++i) {
    weights[96 + i] = i % kGroup == 5 ? 1.99f : std::ldexp(1.5f + weights[i % 7 + 300], -16);
  }
  std::vector<float> importance(kCols, 0.5f);
  importance[5] = 1e-9f;
  for (const std::span<const float> columns : {std::span<const float>{}, {importance}}) {
    std::vector<std::uint8_t> codes(weights.size()), scales(weights.size() / kGroup);
    encode_rows(Encoding::mxfp8(), weights, columns, kCols,
                {{std::as_writable_bytes(std::span(codes)),
                  std::as_writable_bytes(std::span(scales)),
                  {}}});
    const auto error_of = [&](std::size_t group, int scale) {
      double sum = 0;
      for (std::size_t i = group * kGroup; i < (group + 1) * kGroup; ++i) {
        const double ratio = std::ldexp(double{weights[i]}, 127 - scale);
        const double off = ratio - e4m3_to_float(nearest(std::clamp(ratio, -448.0, 448.0)));
        sum += (columns.empty() ? 1.0 : double{columns[i % kCols]}) *
               std::pow(std::ldexp(off, scale - 127), 2);
      }
      return sum;
    };
    for (std::size_t g = 0; g < scales.size(); ++g) {
      double least = std::numeric_limits<double>::infinity();
      for (int scale = 0; scale < 250; ++scale) least = std::min(least, error_of(g, scale));
      EXPECT_LE(error_of(g, scales[g]), least * (1 + 1e-6)) << g;
      for (std::size_t i = g * kGroup; i < (g + 1) * kGroup; ++i) {
        const double ratio = std::ldexp(double{weights[i]}, 127 - scales[g]);
        ASSERT_EQ(codes[i], nearest(std::clamp(ratio, -448.0, 448.0))) << i;
      }
    }
    EXPECT_EQ(scales[0], 0);
    EXPECT_EQ(std::count(codes.begin(), codes.begin() + kGroup, 0), std::ptrdiff_t{kGroup});
    EXPECT_EQ(scales[3] + (columns.empty() ? 0 : 1), scales[4]);
  }
}

}  // namespace
}  // namespace pajamas::codec
