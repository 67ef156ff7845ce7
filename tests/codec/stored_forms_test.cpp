// MXFP4 in its two arrangements and FP8 tiles, against definitions spelled out element by element.
#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <utility>

#include "codec/codec.h"
#include "codec/sample_weights.h"

namespace pajamas::codec {
namespace {

constexpr Encoding kBlock{DType::kMXFP4};
constexpr Encoding kPlanar = Encoding::mxfp4();

// Column `i` of a group is code (i * odd + group * 7) & 15, so that every code meets every place.
unsigned code_at(std::size_t group, std::size_t i) {
  return static_cast<unsigned>(i * (2 * (group / 256) + 1) + group * 7) & 15u;
}

// Groups of 32 whose scales take every byte value, written down by the definition of each
// arrangement: gpt-oss has columns 2j and 2j + 1 in byte j, GGUF columns j and j + 16 behind the
// scale.
constexpr std::uint64_t kStoredRows = 8, kStoredCols = 64 * 32,
                        kStoredGroups = kStoredRows * kStoredCols / 32;

test::Stored planar_rows() {
  test::Stored stored(kPlanar, kStoredRows, kStoredCols);
  for (std::size_t g = 0; g < kStoredGroups; ++g) {
    stored.plane[1][g] = static_cast<std::byte>(g);
    for (std::size_t i = 0; i < 32; ++i) {
      stored.plane[0][g * 16 + i / 2] |= static_cast<std::byte>(code_at(g, i) << i % 2 * 4);
    }
  }
  return stored;
}

test::Stored block_rows() {
  test::Stored stored(kBlock, kStoredRows, kStoredCols);
  for (std::size_t g = 0; g < kStoredGroups; ++g) {
    stored.plane[0][g * 17] = static_cast<std::byte>(g);
    for (std::size_t i = 0; i < 32; ++i) {
      stored.plane[0][g * 17 + 1 + i % 16] |= static_cast<std::byte>(code_at(g, i) << i / 16 * 4);
    }
  }
  return stored;
}

// E2M1: sign, two bits of exponent (bias 1), one of mantissa.
double e2m1(unsigned code) {
  const double mantissa = code & 1u, exponent = code >> 1 & 3u;
  const double magnitude =
      exponent == 0 ? mantissa / 2 : std::exp2(exponent - 1) * (1 + mantissa / 2);
  return (code & 8u) != 0 ? -magnitude : magnitude;
}

test::Stored repacked(const Encoding& from, const test::Stored& stored, const Encoding& to) {
  test::Stored out(to, kStoredRows, kStoredCols);
  for (auto& plane : out.plane) std::fill(plane.begin(), plane.end(), std::byte{0xA5});
  repack_rows(from, stored.planes(), to, out.planes());
  return out;
}

TEST(Mxfp4, RepackingMovesEveryNibbleWhereItBelongs) {
  ASSERT_TRUE(can_repack(kPlanar, kBlock));
  ASSERT_TRUE(can_repack(kBlock, kPlanar));
  EXPECT_EQ(repacked(kPlanar, planar_rows(), kBlock), block_rows());
  EXPECT_EQ(repacked(kBlock, block_rows(), kPlanar), planar_rows());
  EXPECT_EQ(repacked(kPlanar, planar_rows(), kPlanar), planar_rows());
  EXPECT_EQ(repacked(kBlock, block_rows(), kBlock), block_rows());
}

TEST(Mxfp4, RandomBytesComeBackFromTheOtherArrangement) {
  test::Stored stored(kPlanar, kStoredRows, kStoredCols);
  test::Uniform uniform(5);
  for (auto& plane : stored.plane) {
    for (std::byte& b : plane) b = static_cast<std::byte>(uniform.next() * 256);
  }
  EXPECT_EQ(repacked(kBlock, repacked(kPlanar, stored, kBlock), kPlanar), stored);
}

TEST(Mxfp4, BothArrangementsDecodeToTheDefinition) {
  std::vector<float> planar(kStoredRows * kStoredCols), block(kStoredRows * kStoredCols);
  const test::Stored in_planes = planar_rows(), in_blocks = block_rows();
  decode_rows(kPlanar, in_planes.planes(), kStoredCols, planar);
  decode_rows(kBlock, in_blocks.planes(), kStoredCols, block);
  for (std::size_t i = 0; i < planar.size(); ++i) {
    const std::size_t g = i / 32;
    const double exact = std::ldexp(e2m1(code_at(g, i % 32)), static_cast<int>(g % 256) - 127);
    // Above every float: infinite. 255 stands for no number at all; what it gives is not promised.
    if (g % 256 == 255) continue;
    if (std::abs(exact) >= 0x1p128) {
      ASSERT_TRUE(std::isinf(planar[i]));
    } else {
      ASSERT_EQ(static_cast<double>(planar[i]), exact) << "scale " << g % 256 << " at " << i;
    }
    ASSERT_EQ(planar[i], block[i]) << i;
  }
}

TEST(Mxfp4, NothingElseIsRepacked) {
  EXPECT_FALSE(can_repack(kPlanar, {DType::kQ4_0}));
  EXPECT_FALSE(can_repack({DType::kBF16}, {DType::kF32}));
  EXPECT_FALSE(
      can_repack(Encoding::affine(4, 64, DType::kBF16), Encoding::affine(4, 32, DType::kBF16)));
  EXPECT_FALSE(
      can_repack(Encoding::affine(4, 64, DType::kBF16), Encoding::affine(4, 64, DType::kF16)));
  EXPECT_FALSE(can_repack(Encoding::fp8(DType::kBF16), Encoding::fp8(DType::kF32)));
  EXPECT_TRUE(can_repack({DType::kQ4_K}, {DType::kQ4_K}));
}

// E4M3: bias 7, no infinities, all ones is no number.
std::optional<double> e4m3(unsigned bits) {
  const int exponent = static_cast<int>(bits >> 3 & 15u), mantissa = static_cast<int>(bits & 7u);
  if (exponent == 15 && mantissa == 7) return std::nullopt;
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
  return (bits & 0x80u) != 0 ? -magnitude : magnitude;
}

class Fp8 : public testing::TestWithParam<std::pair<DType, std::uint64_t>> {};

INSTANTIATE_TEST_SUITE_P(ScalesAndColumns, Fp8,
                         testing::Values(std::pair{DType::kBF16, 1u}, std::pair{DType::kF32, 127u},
                                         std::pair{DType::kBF16, 128u},
                                         std::pair{DType::kF16, 129u}, std::pair{DType::kF32, 300u},
                                         std::pair{DType::kBF16, 512u}));

// The last tile of a row may be cut; every row has its own copy of its tiles' scales.
TEST_P(Fp8, EachTileHasItsOwnScale) {
  const auto [scale_type, cols] = GetParam();
  constexpr std::uint64_t kTileRows = 6;
  const Encoding encoding = Encoding::fp8(scale_type);
  ASSERT_TRUE(can_decode(encoding));
  ASSERT_TRUE(encoding.fits(cols));
  const std::uint64_t tiles = (cols + 127) / 128;
  test::Stored stored(encoding, kTileRows, cols);
  ASSERT_EQ(stored.plane[1].size(), kTileRows * tiles * info(scale_type).block_bytes);
  std::vector<float> scales(kTileRows * tiles);
  for (std::size_t i = 0; i < scales.size(); ++i) {
    scales[i] = std::ldexp(static_cast<float>(65 + 3 * i % 60), static_cast<int>(i % 9) - 12);
  }
  from_floats(scale_type, scales, stored.plane[1]);
  for (std::size_t i = 0; i < stored.plane[0].size(); ++i) {
    stored.plane[0][i] = static_cast<std::byte>(i * 37 + i / 256);
  }
  std::vector<float> out(kTileRows * cols);
  decode_rows(encoding, std::as_const(stored).planes(), cols, out);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const double scale = scales[i / cols * tiles + i % cols / 128];
    const auto weight = e4m3(static_cast<unsigned>(stored.plane[0][i]));
    if (weight) {
      ASSERT_EQ(out[i], static_cast<float>(*weight * scale)) << i / cols << ", " << i % cols;
    } else {
      ASSERT_TRUE(std::isnan(out[i])) << i;
    }
  }
}

TEST(Fp8Codes, EveryCodeIsWhatTheStandardSays) {
  test::Stored stored(Encoding::fp8(DType::kF32), 1, 256);
  for (std::size_t i = 0; i < 256; ++i) stored.plane[0][i] = static_cast<std::byte>(i);
  from_floats(DType::kF32, std::vector<float>{1, 1}, stored.plane[1]);
  std::vector<float> out(256);
  decode_rows(Encoding::fp8(DType::kF32), std::as_const(stored).planes(), 256, out);
  for (unsigned i = 0; i < 256; ++i) {
    const auto exact = e4m3(i);
    EXPECT_EQ(std::isnan(out[i]), !exact) << i;
    if (exact) {
      EXPECT_EQ(static_cast<double>(out[i]), *exact) << i;
      EXPECT_EQ(std::signbit(out[i]), i >= 128) << i;
    }
  }
  EXPECT_EQ(first_non_finite(out), 0x7Fu);
}

}  // namespace
}  // namespace pajamas::codec
