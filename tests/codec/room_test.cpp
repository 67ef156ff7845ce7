// What an encoding has no room for: judged by what comes back, and by the codes of IEEE 754.
#include "codec/room.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <utility>

#include "codec/codec.h"
#include "codec/fitted.h"
#include "codec/sample_weights.h"

namespace pajamas::codec {
namespace {

constexpr std::uint64_t kBlockCols = 256;

TEST(Room, FirstBeyondCountsEverySignAndNoNumber) {
  std::vector<float> values(1000, 2.0f);
  EXPECT_EQ(first_beyond(values, 2.0f), values.size());
  for (const float bad : {2.0001f, -3.0f, std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::quiet_NaN()}) {
    for (const std::size_t at : {0u, 255u, 256u, 999u}) {
      auto changed = values;
      changed[at] = bad;
      EXPECT_EQ(first_beyond(changed, 2.0f), at) << bad;
    }
  }
  EXPECT_EQ(first_beyond(std::vector{0.0f, -0.0f, 1e-45f}, 0), 2u);
}

TEST(Room, PlainTypesEndWhereRoundingBecomesInfinite) {
  const auto stored = [](DType type, float value) {
    std::array<std::byte, 4> bytes{};
    float out = 0;
    const auto used = std::span(bytes).first(info(type).block_bytes);
    from_floats(type, {&value, 1}, used);
    to_floats(type, used, {&out, 1});
    return out;
  };
  for (const DType type : {DType::kF16, DType::kBF16}) {
    const Encoding encoding{.dtype = type};
    const float most = always_room(encoding);
    const float more = std::nextafter(most, std::numeric_limits<float>::infinity());
    EXPECT_TRUE(std::isfinite(stored(type, most)));
    EXPECT_TRUE(std::isinf(stored(type, more)));
    EXPECT_EQ(first_without_room(encoding, std::vector{1.0f, -most}, {}, 2, {}), 2u);
    EXPECT_EQ(first_without_room(encoding, std::vector{1.0f, -more}, {}, 2, {}), 1u);
  }
  EXPECT_EQ(always_room({.dtype = DType::kF32}), std::numeric_limits<float>::max());
}

// One large weight among small ones: either it is refused, or it comes back about as it was.
TEST(Room, WhatIsNotRefusedComesBack) {
  for (const Encoding& encoding : test::packed_encodings()) {
    bool refused = false;
    // Codebooks of two bits or less have no code near 0: the smallest error of a group of 32 takes
    // half of what is far larger than the others.
    const CodeBook book = grid_of(encoding).book;
    const float far = book.is_vectors() && book.columns == 8 ? 0.53f : 0.2f;
    for (float large = 2.5e3f; large < 3e38f; large *= 6) {
      for (const float sign : {1.0f, -1.0f}) {
        std::vector<float> weights(kBlockCols);
        test::Uniform uniform(3);
        for (float& w : weights) w = static_cast<float>(uniform.next() - 0.5);
        weights[77] = sign * large;
        test::Stored stored(encoding, 1, kBlockCols);
        encode_rows(encoding, weights, {}, kBlockCols, stored.planes());
        const ConstPlanes planes = std::as_const(stored).planes();
        const std::size_t bad = first_without_room(encoding, weights, {}, kBlockCols, planes);
        std::vector<float> back(kBlockCols);
        decode_rows(encoding, planes, kBlockCols, back);
        const float error = std::abs(back[77] - weights[77]) / large;
        if (bad == kBlockCols) {
          EXPECT_LT(error, far) << test::full_name(encoding) << " " << weights[77];
        } else {
          EXPECT_EQ(bad, 77u);
          EXPECT_GT(large, always_room(encoding)) << test::full_name(encoding);
          refused = true;
        }
        if (error > far) {
          EXPECT_LT(bad, kBlockCols) << test::full_name(encoding) << " " << weights[77];
        }
      }
    }
    EXPECT_TRUE(refused) << test::full_name(encoding);
  }
}

// Whole blocks of large weights, with importance: refused where they are further from themselves
// than the same weights made small are, which the encoder has room for.
TEST(Room, ARefusedBlockIsOneThatSufferedForItsSize) {
  constexpr std::uint64_t kRows = 3;
  test::Uniform uniform(6);
  std::vector<float> weights(kRows * kBlockCols), importance(kBlockCols);
  for (float& w : weights) w = static_cast<float>(uniform.next() - 0.3);
  for (float& i : importance) i = static_cast<float>(uniform.next());
  const auto error_of = [&](const Encoding& encoding, float scale, std::size_t& bad) {
    std::vector<float> scaled(weights), back(weights.size());
    for (float& w : scaled) w *= scale;
    test::Stored stored(encoding, kRows, kBlockCols);
    encode_rows(encoding, scaled, importance, kBlockCols, stored.planes());
    const ConstPlanes planes = std::as_const(stored).planes();
    bad = first_without_room(encoding, scaled, importance, kBlockCols, planes);
    decode_rows(encoding, planes, kBlockCols, back);
    double sum = 0;
    for (std::size_t i = 0; i < back.size(); ++i) sum += std::pow((back[i] - scaled[i]) / scale, 2);
    return sum;
  };
  for (const Encoding& encoding : test::packed_encodings()) {
    std::size_t bad = 0;
    const double own = error_of(encoding, 0x1p10f, bad);
    EXPECT_EQ(bad, weights.size());
    bool suffered = false;
    for (int power = 14; power < 34; ++power) {
      const double error = error_of(encoding, std::ldexp(1.0f, power), bad);
      if (error > 1.01 * own) {
        suffered = true;
        EXPECT_LT(bad, weights.size()) << test::full_name(encoding) << " 2^" << power;
      } else if (!(encoding.is_affine() &&
                   power > 15) &&  // see below
                                   // Where d is about to end they take other scales, for better and
                                   // for worse.
                 !(grid_of(encoding).book.is_vectors() && power > 21)) {
        EXPECT_EQ(bad, weights.size()) << test::full_name(encoding) << " 2^" << power;
      }
    }
    const bool half = !encoding.is_mxfp4() && encoding.layout != Layout::kMxfp8 &&
                      (!encoding.is_affine() || encoding.dtype == DType::kF16);
    EXPECT_EQ(suffered, half) << test::full_name(encoding);
  }
}

// MLX computes in the type of the scales: what it would make infinite is refused, though the codes
// and scales are finite.
TEST(Room, AnMlxGroupEndsWhereItsTypeDoes) {
  std::vector<float> weights(kBlockCols, 1.0f);
  weights[5] = 1e5f;
  test::Stored stored(Encoding::affine(4, 64, DType::kF16), 1, kBlockCols);
  for (const DType type : {DType::kF16, DType::kBF16}) {
    const Encoding encoding = Encoding::affine(4, 64, type);
    encode_rows(encoding, weights, {}, kBlockCols, stored.planes());
    EXPECT_EQ(first_without_room(encoding, weights, {}, kBlockCols, std::as_const(stored).planes()),
              type == DType::kF16 ? 5u : kBlockCols);
  }
}

TEST(Room, FindsScalesThatAreNoNumbers) {
  std::vector<float> weights(4 * kBlockCols);
  test::Uniform uniform(4);
  for (float& w : weights) w = static_cast<float>(uniform.next() - 0.7);
  for (const Encoding& encoding : test::packed_encodings()) {
    test::Stored good(encoding, 4, kBlockCols);
    encode_rows(encoding, weights, {}, kBlockCols, good.planes());
    const std::size_t count = 4 * kBlockCols / encoding.block_cols();
    EXPECT_EQ(first_broken_block(encoding, std::as_const(good).planes()), count);
    // Every byte set in turn: a block is broken where what it decodes to is.
    const std::size_t broken = count / 2;
    for (std::size_t p = 0; p < encoding.planes(); ++p) {
      const std::size_t bytes = encoding.plane_row_bytes(p, encoding.block_cols());
      for (std::size_t i = 0; i + 1 < bytes || i == 0; ++i) {
        test::Stored bad = good;
        bad.plane[p][broken * bytes + i] = std::byte{0xFF};
        if (bytes > 1) bad.plane[p][broken * bytes + i + 1] = std::byte{0xFF};
        std::vector<float> back(weights.size());
        decode_rows(encoding, std::as_const(bad).planes(), kBlockCols, back);
        const std::size_t first = first_non_finite(back);
        EXPECT_EQ(first_broken_block(encoding, std::as_const(bad).planes()),
                  first == back.size() ? count : first / encoding.block_cols())
            << test::full_name(encoding) << " plane " << p << " byte " << i;
      }
    }
  }
}

}  // namespace
}  // namespace pajamas::codec
