// Products with activations rounded to eight bits: against the same sum in double, and every
// instruction set against the definition, bit for bit.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "codec/codec.h"
#include "runtime/native/cpu/linear.h"
#include "runtime/native/cpu/rounded_rows.h"
#include "runtime/numbers.h"

namespace pajamas::runtime {
namespace {

// Activations as trained models have them: most are small, a few channels are not.
std::vector<float> activations(std::size_t rows, std::size_t cols) {
  std::vector<float> x = waves(rows * cols, 0.9);
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (i % cols % 173 == 5) x[i] *= 40;
    if (i % cols / 32 == 2) x[i] = 0;
  }
  return x;
}

// Encoded rows with `gap` bytes between them, as planes of a stack have.
struct Int8Matrix {
  Int8Matrix(const Encoding& encoding, std::uint64_t rows, std::uint64_t cols)
      : weights(waves(rows * cols, 0.3)), view{encoding, rows, cols, {}} {
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] += i / cols % 3 == 0 ? 0.5f : 0.0f;
    Planes planes;
    ConstPlanes stored;
    for (std::size_t p = 0; p < encoding.planes(); ++p) {
      bytes[p].resize(rows * encoding.plane_row_bytes(p, cols));
      planes.plane[p] = bytes[p];
      stored.plane[p] = bytes[p];
      view.planes[p] = {bytes[p], encoding.plane_row_bytes(p, cols), 0};
    }
    codec::encode_rows(encoding, weights, {}, cols, planes);
    codec::decode_rows(encoding, stored, cols, weights);
  }
  std::vector<float> weights;  // as stored
  std::vector<std::byte> bytes[Encoding::kMaxPlanes];
  weights::WeightView view;
};

// Which column of a group of 32 stands at place `i`.
std::size_t column_at(kernels::Int8Order order, std::size_t i) {
  switch (order) {
    case kernels::Int8Order::kNatural:
      return i;
    case kernels::Int8Order::kByTwo:
      return i / 8 * 8 + i % 4 * 2 + i % 8 / 4;
    case kernels::Int8Order::kByFour:
      return i / 16 * 16 + i % 4 * 4 + i % 16 / 4;
  }
  return 0;
}

// What one row of activations stands for after rounding, in double.
std::vector<double> rounded(const kernels::Int8Kernels& int8, const kernels::Int8Form& form,
                            std::span<const float> x) {
  RoundedRows rows;
  rows.begin(int8, form, x.data(), 1, x.size());
  rows.round_tile(0);
  const kernels::Int8Tile tile = rows.tile(0);
  std::vector<double> out(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    out[i / 32 * 32 + column_at(form.order, i % 32)] =
        static_cast<double>(tile.q[i]) * static_cast<double>(tile.scales[i / 32]);
  }
  for (std::size_t e = 0; e < tile.extra_counts[0]; ++e) {
    const kernels::Int8Extra& extra = tile.extras[e];
    for (std::size_t i = 0; i < 4; ++i) {
      out[extra.group * 32 + column_at(form.order, 4 * extra.word + i)] +=
          static_cast<double>(extra.q[i]) * static_cast<double>(extra.scale);
    }
  }
  return out;
}

class Int8Linear : public testing::TestWithParam<Encoding> {
 protected:
  static std::vector<float> product(const kernels::Int8Kernels& int8, const Int8Matrix& matrix,
                                    const std::vector<float>& x, std::size_t count, int threads) {
    const TaskPool pool(threads);
    std::vector<float> out(count * matrix.view.rows);
    linear({kernels::best_kernels(), pool, &int8}, matrix.view,
           {std::span(x).first(count * matrix.view.cols), count}, out);
    return out;
  }
};

INSTANTIATE_TEST_SUITE_P(
    Encodings, Int8Linear,
    testing::Values(Encoding{DType::kQ4_0}, Encoding{DType::kQ4_1}, Encoding{DType::kQ5_0},
                    Encoding{DType::kQ5_1}, Encoding{DType::kQ8_0}, Encoding{DType::kMXFP4},
                    Encoding{DType::kQ2_K}, Encoding{DType::kQ3_K}, Encoding{DType::kQ4_K},
                    Encoding{DType::kQ5_K}, Encoding{DType::kQ6_K}, Encoding{DType::kIQ4_NL},
                    Encoding{DType::kIQ4_XS}, Encoding{DType::kIQ3_S}, Encoding{DType::kIQ3_XXS},
                    Encoding{DType::kIQ2_S}, Encoding{DType::kIQ2_XS}, Encoding{DType::kIQ2_XXS},
                    Encoding{DType::kIQ1_M}, Encoding{DType::kIQ1_S}, Encoding{DType::kTQ2_0},
                    Encoding{DType::kTQ1_0}, Encoding::mxfp4(), Encoding::nvfp4(),
                    Encoding::affine(2, 32, DType::kBF16), Encoding::affine(2, 128, DType::kF16),
                    Encoding::affine(3, 64, DType::kF16), Encoding::affine(3, 32, DType::kF32),
                    Encoding::affine(4, 128, DType::kF32), Encoding::affine(4, 32, DType::kBF16),
                    Encoding::affine(4, 64, DType::kF16), Encoding::affine(5, 64, DType::kBF16),
                    Encoding::affine(5, 32, DType::kF16), Encoding::affine(6, 64, DType::kBF16),
                    Encoding::affine(8, 32, DType::kF32), Encoding::affine(8, 64, DType::kBF16)));

TEST_P(Int8Linear, IsTheSumOfRoundedActivations) {
  constexpr std::uint64_t kRows = 19, kCols = 768;
  constexpr std::size_t kCount = 3;
  const Int8Matrix matrix(GetParam(), kRows, kCols);
  const auto x = activations(kCount, kCols);
  const kernels::Int8Kernels& int8 = kernels::best_kernels().int8(cpu_features());
  const auto out = product(int8, matrix, x, kCount, 2);
  for (std::size_t m = 0; m < kCount; ++m) {
    const auto q =
        rounded(int8, int8.form(GetParam(), kCols), std::span(x).subspan(m * kCols, kCols));
    for (std::size_t n = 0; n < kRows; ++n) {
      double exact = 0, magnitude = 0;
      for (std::size_t c = 0; c < kCols; ++c) {
        const double term = q[c] * static_cast<double>(matrix.weights[n * kCols + c]);
        exact += term;
        magnitude += std::abs(term);
      }
      ASSERT_NEAR(out[m * kRows + n], exact, magnitude * 2e-6) << m << " " << n;
    }
  }
}

// Straight from storage or through panels, with one thread or three, whatever the instruction set.
// What one kernel does slowly, emulated or under a sanitizer, is asked for less often where sizes
// are large.
TEST_P(Int8Linear, IsTheSameFloatsEverywhere) {
  const std::uint64_t block = std::max<std::uint64_t>(GetParam().block_cols(), 32);
  const std::vector<std::size_t> each = {1, 2, 3, 4, 5, 13, 26}, some = {1, 5, 26};
  for (const std::uint64_t cols : {block, 4 * block + (block < 256 ? 2 * block : 0), 12 * block}) {
    const bool wide = cols == 12 * block;
    for (const std::uint64_t rows : {1u, 37u, 80u}) {
      if (wide && rows != 37) continue;
      const Int8Matrix matrix(GetParam(), rows, cols);
      constexpr std::size_t kMost = 26;
      const auto x = activations(kMost, cols);
      const auto expected = product(*kernels::all_int8_kernels().back(), matrix, x, kMost, 1);
      for (const kernels::Int8Kernels* int8 : kernels::all_int8_kernels()) {
        if (!int8->supported(cpu_features())) continue;
        const bool plain = int8 == kernels::all_int8_kernels().back();
        for (const std::size_t count : wide || plain ? some : each) {
          const auto out = product(*int8, matrix, x, count, count % 2 == 0 ? 3 : 1);
          for (std::size_t i = 0; i < out.size(); ++i) {
            ASSERT_EQ(out[i], expected[i])
                << int8->name << ": " << rows << " x " << cols << ", " << count << " rows, " << i;
          }
        }
      }
    }
  }
}

// No further from the number than half a step, and the step is not that of a group's outlier.
TEST(Int8Linear, RoundsToTheStepThatMostOfAGroupNeeds) {
  constexpr std::size_t kCols = 2048;
  const kernels::Int8Kernels& int8 = kernels::best_kernels().int8(cpu_features());
  auto x = waves(kCols, 0.4);
  for (std::size_t g = 0; g < kCols / 32; ++g) {
    for (std::size_t i = 0; i < 32; ++i) x[g * 32 + i] *= static_cast<float>(1 + g % 7);
    if (g % 3 == 0) x[g * 32 + g % 32] = g % 2 == 0 ? 300.0f : -17.5f;
  }
  for (const auto order :
       {kernels::Int8Order::kNatural, kernels::Int8Order::kByTwo, kernels::Int8Order::kByFour}) {
    const auto back = rounded(int8, {.order = order}, x);
    std::size_t far = 0;
    for (std::size_t c = 0; c < kCols; ++c) {
      float most = 0, second = 0;  // of the group, and without its largest
      for (std::size_t i = c / 32 * 32; i < c / 32 * 32 + 32; ++i) {
        const float size = std::abs(x[i]);
        second = std::max(second, std::min(size, most));
        most = std::max(most, size);
      }
      const double error = std::abs(back[c] - static_cast<double>(x[c]));
      if (error > static_cast<double>(second) * 1.01 / 254) ++far;
      ASSERT_LE(error, static_cast<double>(most) * 1.01 / 254) << c;
    }
    // Only what shares an outlier's word is rounded more coarsely.
    EXPECT_LE(far, kCols / 32 / 3 * 4 + 4);
    EXPECT_GT(far, 0u);
  }
}

TEST(Int8Linear, CarriesWhatIsNotFinite) {
  const Int8Matrix matrix({DType::kQ4_K}, 5, 512);
  const TaskPool pool(1);
  for (const kernels::Int8Kernels* int8 : kernels::all_int8_kernels()) {
    if (!int8->supported(cpu_features())) continue;
    for (const float bad :
         {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
      auto x = activations(1, 512);
      x[300] = -bad;
      std::vector<float> out(5);
      linear({kernels::best_kernels(), pool, int8}, matrix.view, {x, 1}, out);
      for (const float y : out) EXPECT_FALSE(std::isfinite(y)) << int8->name;
    }
    std::vector<float> tiny(512, 1e-38f), out(5);
    linear({kernels::best_kernels(), pool, int8}, matrix.view, {tiny, 1}, out);
    for (const float y : out) EXPECT_NEAR(y, 0, 1e-30) << int8->name;
  }
}

// Columns that do not divide by 32, and numbers that are no multiples of a step, are left to the
// floats.
TEST(Int8Linear, LeavesOtherMatricesToFloats) {
  const TaskPool pool(1);
  for (const auto& [encoding, cols] :
       {std::pair{Encoding{DType::kBF16}, 64u}, std::pair{Encoding{DType::kF32}, 50u},
        std::pair{Encoding::mxfp8(), 96u}, std::pair{Encoding::nvfp4(), 48u}}) {
    const Int8Matrix matrix(encoding, 7, cols);
    const auto x = activations(2, cols);
    std::vector<float> plain(14), int8(14);
    linear({kernels::best_kernels(), pool}, matrix.view, {x, 2}, plain);
    linear({kernels::best_kernels(), pool, &kernels::best_kernels().int8(cpu_features())},
           matrix.view, {x, 2}, int8);
    EXPECT_EQ(plain, int8);
  }
}

}  // namespace
}  // namespace pajamas::runtime
