#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <utility>

#include "codec/codec.h"
#include "codec/fitted.h"
#include "codec/formats.h"
#include "codec/sample_weights.h"
#include "paths.h"
#include "tensor/convert.h"

namespace pajamas::codec {
namespace {

std::vector<float> through(const Encoding& encoding, std::span<const float> weights,
                           std::span<const float> importance, std::uint64_t cols) {
  test::Stored stored(encoding, weights.size() / cols, cols);
  encode_rows(encoding, weights, importance, cols, stored.planes());
  std::vector<float> out(weights.size());
  decode_rows(encoding, std::as_const(stored).planes(), cols, out);
  return out;
}

double squared_error(std::span<const float> a, std::span<const float> b,
                     std::span<const float> importance) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double weight = importance.empty() ? 1.0 : importance[i % importance.size()];
    sum += weight * (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
  }
  return sum;
}

// stock_rmse.txt holds what llama.cpp and MLX reach on the same weights (data/make_peers.py).
TEST(Encode, ErrorIsBelowTheStockQuantizers) {
  std::map<std::string, std::vector<float>> samples;
  for (const char* kind : {"gauss", "heavy", "outlier"}) samples[kind] = test::sample_weights(kind);
  std::ifstream in(source_dir() + "/tests/codec/data/stock_rmse.txt");
  std::string name, kind;
  int bits = 0, group = 0, lines = 0;
  double stock = 0;
  while (in >> name >> bits >> group >> kind >> stock) {
    const Encoding encoding = test::peer_encoding(name, bits, group);
    const std::vector<float>& weights = samples.at(kind);
    const std::vector<float> out = through(encoding, weights, {}, test::kSampleCols);
    const std::vector<float> zeros(weights.size());
    const double ours =
        100 * std::sqrt(squared_error(weights, out, {}) / squared_error(weights, zeros, {}));
    // Stock rounds the scales of MXFP8 up since mlx 0.32, which leaves next to nothing to gain.
    const double bar = encoding.layout == Layout::kMxfp8 ? 1.000001 : 0.99;
    EXPECT_LE(ours, bar * stock) << test::full_name(encoding) << " " << kind;
    ++lines;
  }
  EXPECT_EQ(lines, 3 * (22 + 54 + 3));
}

TEST(Encode, NeverStoresWhatIsNotFinite) {
  constexpr std::uint64_t kCols = 256;
  const std::vector<float> weights = test::hard_weights(kCols);
  const std::vector<std::vector<float>> importances{{},
                                                    std::vector<float>(kCols, 0.0f),
                                                    std::vector<float>(kCols, 1e30f),
                                                    std::vector<float>(kCols, 1e-40f)};
  for (const Encoding& encoding : test::packed_encodings()) {
    for (const std::vector<float>& importance : importances) {
      const std::vector<float> out = through(encoding, weights, importance, kCols);
      const std::size_t bad = first_non_finite(out);
      EXPECT_EQ(bad, out.size()) << test::full_name(encoding) << " row " << bad / kCols;
    }
  }
}

TEST(Encode, KeepsZerosAndConstants) {
  constexpr std::uint64_t kCols = 256;
  for (const Encoding& encoding : test::packed_encodings()) {
    const std::vector<float> zeros(kCols);
    EXPECT_EQ(through(encoding, zeros, {}, kCols), zeros) << test::full_name(encoding);
    for (const float value : {1.0f, -0.25f, 0.0123f}) {
      const std::vector<float> constant(kCols, value);
      for (const float out : through(encoding, constant, {}, kCols)) {
        // E2M1 has seven magnitudes, E4M3 eight between two powers of two.
        const float near = grid_of(encoding).book.small_float  ? 1.0f / 6
                           : encoding.layout == Layout::kMxfp8 ? 1.0f / 16
                                                               : 0.005f;
        ASSERT_NEAR(out, value, std::abs(value) * near) << test::full_name(encoding);
      }
    }
  }
}

TEST(Encode, RowsDoNotDependOnEachOther) {
  constexpr std::uint64_t kCols = 1280;  // five super-blocks: the lanes of a tile span rows
  const std::vector<float> all = test::sample_weights("heavy");
  const std::span<const float> weights(all.data(), 7 * kCols);
  std::vector<float> importance(kCols);
  test::Uniform uniform(3);
  for (float& w : importance) w = static_cast<float>(uniform.next());
  for (const Encoding& encoding : test::packed_encodings()) {
    const std::vector<float> together = through(encoding, weights, importance, kCols);
    for (std::size_t row = 0; row < 7; ++row) {
      const std::span<const float> one = weights.subspan(row * kCols, kCols);
      const std::vector<float> alone = through(encoding, one, importance, kCols);
      const auto* begin = together.data() + row * kCols;
      EXPECT_TRUE(std::equal(alone.begin(), alone.end(), begin)) << test::full_name(encoding);
    }
  }
}

TEST(Encode, ImportanceMovesErrorAway) {
  const std::vector<float> weights = test::sample_weights("gauss");
  std::vector<float> importance(test::kSampleCols);
  test::Uniform uniform(4);
  for (float& w : importance) w = static_cast<float>(std::exp(6 * uniform.next()));
  for (const Encoding& encoding : test::packed_encodings()) {
    if (encoding.is_affine() && encoding.group_size != 64) continue;
    const auto plain = through(encoding, weights, {}, test::kSampleCols);
    const auto guided = through(encoding, weights, importance, test::kSampleCols);
    // Where only a power of two is chosen, or one step for 256 columns, there is little to move.
    const double moved = encoding.is_mxfp4() ? 0.999 : grid_of(encoding).group == 256 ? 0.99 : 0.97;
    // The steps of MXFP8 are as fine relatively under every scale: importance hardly decides.
    if (encoding.layout != Layout::kMxfp8) {
      EXPECT_LT(squared_error(weights, guided, importance),
                moved * squared_error(weights, plain, importance))
          << test::full_name(encoding);
    }
    // Only ratios count.
    std::vector<float> doubled = importance;
    for (float& w : doubled) w *= 1024;
    EXPECT_EQ(through(encoding, weights, doubled, test::kSampleCols), guided);
  }
}

TEST(Encode, IsFitThenRoundThenPack) {
  const std::vector<float> all = test::sample_weights("outlier");
  const std::span<const float> weights(all.data(), test::kSampleCols);
  for (const Encoding& encoding : test::block_encodings()) {
    const Grid grid = grid_of(encoding);
    std::vector<FittedBlock> blocks(weights.size() / static_cast<std::size_t>(grid.block));
    fit(encoding, weights, {}, blocks);
    round(encoding, weights, {}, blocks);
    test::Stored steps(encoding, 1, weights.size());
    pack(encoding, blocks, steps.planes());
    test::Stored whole(encoding, 1, weights.size());
    encode_rows(encoding, weights, {}, weights.size(), whole.planes());
    EXPECT_EQ(steps, whole) << test::full_name(encoding);

    const std::size_t first = grid.book.is_vectors() ? weights.size() : 0;
    for (std::size_t i = first; i < weights.size(); i += 7) {  // one column, against given scales
      const FittedBlock& b = blocks[i / static_cast<std::size_t>(grid.block)];
      const int column = static_cast<int>(i % static_cast<std::size_t>(grid.block));
      const int group = column / grid.group;
      ASSERT_EQ(round_one(grid, weights[i], b.step(group), b.offset(group)), b.codes[column])
          << test::full_name(encoding) << " " << weights[i] << " " << b.step(group);
    }
    std::vector<FittedBlock> read(blocks.size());
    unpack(encoding, std::as_const(whole).planes(), read);
    for (std::size_t b = 0; b < blocks.size(); ++b) {
      ASSERT_EQ(read[b].d, blocks[b].d) << test::full_name(encoding) << ": stored exactly";
      ASSERT_EQ(read[b].m, blocks[b].m) << test::full_name(encoding);
    }
  }
}

TEST(Encode, AChangedCodeIsWhatIsStored) {
  for (const Encoding& encoding : test::block_encodings()) {
    const Grid grid = grid_of(encoding);
    if (grid.book.is_vectors()) continue;  // vectors_test.cpp
    const auto cols = static_cast<std::size_t>(grid.block);
    const std::vector<float> all = test::sample_weights("gauss");
    const std::span<const float> weights(all.data(), cols);
    FittedBlock block;
    fit(encoding, weights, {}, {&block, 1});
    round(encoding, weights, {}, {&block, 1});
    for (int column = 0; column < grid.block; ++column) {
      block.codes[column] = static_cast<std::int16_t>(column % 2 ? grid.min_code : grid.max_code);
    }
    test::Stored stored(encoding, 1, cols);
    pack(encoding, {&block, 1}, stored.planes());
    FittedBlock read;
    unpack(encoding, std::as_const(stored).planes(), {&read, 1});
    for (int column = 0; column < grid.block; ++column) {
      ASSERT_EQ(read.codes[column], block.codes[column]) << test::full_name(encoding);
    }
  }
}

// The nearest of E2M1's 15 numbers under the scale that was chosen, in every arrangement; zeros are
// the canonical bytes, and minus zero is never written.
TEST(Encode, E2m1RoundsToTheNearest) {
  constexpr std::uint64_t kCols = 64;
  std::vector<float> weights = test::hard_weights(kCols);
  for (const float unit : {1.0f, 0x1p-126f, 0x1p-130f, 0x1p122f}) {  // ties, and between them
    for (int i = 0; i < 256; ++i) {
      weights.push_back(unit * (static_cast<float>(i / 2 % 64) / 8 - 4 + (i % 2 ? 0.01f : 0.0f)));
    }
  }
  const std::vector<float> zeros(kCols);
  for (const Encoding& encoding : {Encoding{DType::kMXFP4}, Encoding::mxfp4(), Encoding::nvfp4()}) {
    const std::size_t size = encoding.block_cols();
    std::vector<FittedBlock> blocks(weights.size() / size);
    fit(encoding, weights, {}, blocks);
    round(encoding, weights, {}, blocks);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const FittedBlock& block = blocks[i / size];
      const double d = block.d, stored = block.codes[i % size];
      double least = std::numeric_limits<double>::infinity();
      for (const int code : Mxfp4::kLevels) {
        least = std::min(least, std::abs(weights[i] - d * code));
      }
      ASSERT_EQ(std::abs(weights[i] - d * stored), least) << weights[i] << " " << d;
      ASSERT_EQ(round_one(grid_of(encoding), weights[i], block.d, 0), block.codes[i % size]);
    }
    test::Stored stored(encoding, 1, weights.size());
    encode_rows(encoding, weights, {}, weights.size(), stored.planes());
    std::vector<float> out(weights.size());
    decode_rows(encoding, std::as_const(stored).planes(), weights.size(), out);
    for (const float value : out) ASSERT_FALSE(value == 0 && std::signbit(value));
    test::Stored nothing(encoding, 1, kCols);
    encode_rows(encoding, zeros, {}, kCols, nothing.planes());
    for (const auto& plane : nothing.plane) {
      for (const std::byte byte : plane) EXPECT_EQ(byte, std::byte{0});
    }
  }
}

// What an MXFP4 checkpoint holds is stored again without a change.
TEST(Encode, Mxfp4KeepsWhatIsMxfp4) {
  test::Uniform uniform(6);
  std::vector<float> weights(32 * 64);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const int exponent = static_cast<int>(i / 32) * 4 - 128;
    const int code = Mxfp4::kLevels[static_cast<int>(uniform.next() * 16)];
    weights[i] = std::ldexp(static_cast<float>(code), std::min(exponent, 122));
  }
  EXPECT_EQ(through({DType::kMXFP4}, weights, {}, weights.size()), weights);
  EXPECT_EQ(through(Encoding::mxfp4(), weights, {}, weights.size()), weights);
}

// Likewise of NVFP4, whatever the scale of a group: where its largest code is not the format's, as
// one of another scale.
TEST(Encode, Nvfp4KeepsWhatIsNvfp4) {
  test::Uniform uniform(16);
  std::vector<float> weights;
  for (int scale = 0; scale < 127; ++scale) {
    for (int i = 0; i < 16; ++i) {
      const int code = i == 3 ? 12 : Mxfp4::kLevels[static_cast<int>(uniform.next() * 16)];
      weights.push_back(e4m3_to_float(static_cast<std::uint8_t>(scale)) * 0.5f *
                        static_cast<float>(code));
    }
  }
  EXPECT_EQ(through(Encoding::nvfp4(), weights, {}, weights.size()), weights);
}

TEST(Encode, FindsTheFirstNumberThatIsNotFinite) {
  std::vector<float> values(1000, 1.0f);
  EXPECT_EQ(first_non_finite(values), 1000u);
  EXPECT_EQ(first_non_finite({}), 0u);
  for (const float bad :
       {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
        std::numeric_limits<float>::quiet_NaN()}) {
    for (const std::size_t at : {0u, 255u, 256u, 700u, 999u}) {
      values[at] = bad;
      EXPECT_EQ(first_non_finite(values), at);
      values[at] = std::numeric_limits<float>::max();
    }
  }
}

}  // namespace
}  // namespace pajamas::codec
