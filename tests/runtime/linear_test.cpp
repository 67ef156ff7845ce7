#include "runtime/native/cpu/linear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "codec/codec.h"
#include "runtime/numbers.h"
#include "tensor/convert.h"

namespace pajamas::runtime {
namespace {

struct Matrix {
  Matrix(const Encoding& encoding, std::uint64_t rows, std::uint64_t cols)
      : weights(waves(rows * cols, 0.3)), view{encoding, rows, cols, {}} {
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

class EachEncoding : public testing::TestWithParam<Encoding> {};

INSTANTIATE_TEST_SUITE_P(
    Encodings, EachEncoding,
    testing::Values(Encoding{DType::kF32}, Encoding{DType::kF16}, Encoding{DType::kBF16},
                    Encoding{DType::kQ4_0}, Encoding{DType::kQ4_1}, Encoding{DType::kQ5_0},
                    Encoding{DType::kQ5_1}, Encoding{DType::kQ8_0}, Encoding{DType::kQ2_K},
                    Encoding{DType::kQ3_K}, Encoding{DType::kQ4_K}, Encoding{DType::kQ5_K},
                    Encoding{DType::kQ6_K}, Encoding{DType::kIQ4_NL}, Encoding{DType::kIQ4_XS},
                    Encoding{DType::kIQ2_XS}, Encoding{DType::kTQ1_0},
                    Encoding::affine(2, 32, DType::kBF16), Encoding::affine(3, 64, DType::kF16),
                    Encoding::affine(4, 128, DType::kF32), Encoding::affine(5, 64, DType::kBF16),
                    Encoding::affine(6, 64, DType::kBF16), Encoding::affine(8, 32, DType::kF32)));

// One row fused, seven rows decoded first, one and three threads: the same floats, and the product.
TEST_P(EachEncoding, ProductsDoNotDependOnHowTheyAreComputed) {
  constexpr std::uint64_t kRows = 150, kCols = 1280;
  constexpr std::size_t kCount = 7;
  const Matrix matrix(GetParam(), kRows, kCols);
  const auto x = waves(kCount * kCols, 0.9);
  const TaskPool one(1), three(3);
  for (const kernels::KernelTable* table : kernels::all_kernels()) {
    if (!table->supported(cpu_features())) continue;
    std::vector<float> together(kCount * kRows);
    linear({*table, three}, matrix.view, {x, kCount}, together);
    for (std::size_t m = 0; m < kCount; ++m) {
      std::vector<float> alone(kRows);
      linear({*table, one}, matrix.view, {std::span(x).subspan(m * kCols, kCols), 1}, alone);
      for (std::size_t n = 0; n < kRows; ++n) {
        double exact = 0, magnitude = 0;
        for (std::size_t c = 0; c < kCols; ++c) {
          const double product = static_cast<double>(x[m * kCols + c]) *
                                 static_cast<double>(matrix.weights[n * kCols + c]);
          exact += product;
          magnitude += std::abs(product);
        }
        ASSERT_NEAR(alone[n], exact, magnitude * 2e-6) << table->name;
        ASSERT_EQ(alone[n], together[m * kRows + n]) << table->name << " " << m << " " << n;
      }
    }
  }
}

TEST(Linear, TakesRowsOfAnyLength) {
  const TaskPool pool(2);
  for (const std::uint64_t cols : {1u, 17u, 1030u}) {
    const Matrix matrix({DType::kBF16}, 3, cols);
    const auto x = waves(2 * cols, 0.1);
    std::vector<float> out(6);
    linear({kernels::best_kernels(), pool}, matrix.view, {x, 2}, out);
    double exact = 0;
    for (std::size_t c = 0; c < cols; ++c) {
      exact += static_cast<double>(x[cols + c]) * static_cast<double>(matrix.weights[2 * cols + c]);
    }
    EXPECT_NEAR(out[5], exact, 1e-4);
  }
}

TEST(Linear, DecodesOneRow) {
  const TaskPool pool(1);
  const Matrix matrix(Encoding::affine(3, 64, DType::kBF16), 5, 128);
  std::vector<float> row(128);
  decode_row(kernels::best_kernels(), matrix.view, 3, row);
  EXPECT_TRUE(std::equal(row.begin(), row.end(), matrix.weights.begin() + 3 * 128));
}

// The same weights where other rows, or other columns, lie between them.
struct Spaced {
  Spaced(const Matrix& matrix, bool transposed) : view(matrix.view) {
    const Encoding& encoding = matrix.view.encoding;
    const std::uint64_t rows = view.rows, cols = view.cols;
    for (std::size_t p = 0; p < encoding.planes(); ++p) {
      const std::uint64_t row_bytes = encoding.plane_row_bytes(p, cols);
      const std::uint64_t unit = transposed ? row_bytes / cols : row_bytes;
      const std::uint64_t row_step = 2 * unit, col_step = transposed ? 2 * rows * unit : 0;
      // Ones all over what is not ours: NaN in every plain type.
      bytes[p].assign((transposed ? cols : 1) * rows * 2 * unit, std::byte{0xFF});
      for (std::uint64_t r = 0; r < rows; ++r) {
        for (std::uint64_t c = 0; c < (transposed ? cols : 1); ++c) {
          std::copy_n(
              matrix.bytes[p].begin() + static_cast<std::ptrdiff_t>(r * row_bytes + c * unit), unit,
              bytes[p].begin() + static_cast<std::ptrdiff_t>(r * row_step + c * col_step));
        }
      }
      view.planes[p] = {std::span(bytes[p]).first(bytes[p].size() - unit), row_step, col_step};
    }
  }
  std::vector<std::byte> bytes[Encoding::kMaxPlanes];
  weights::WeightView view;
};

void expect_same_products(const Matrix& matrix, const weights::WeightView& view) {
  const auto x = waves(7 * view.cols, 0.9);
  const TaskPool one(1), three(3);
  for (const kernels::KernelTable* table : kernels::all_kernels()) {
    if (!table->supported(cpu_features())) continue;
    for (const std::size_t count : {1u, 2u, 7u}) {
      const Rows rows{std::span(x).first(count * view.cols), count};
      std::vector<float> plain(count * view.rows), spaced(count * view.rows);
      linear({*table, one}, matrix.view, rows, plain);
      linear({*table, three}, view, rows, spaced);
      ASSERT_EQ(plain, spaced) << table->name << " " << count;
    }
  }
  std::vector<float> row(view.cols);
  decode_row(kernels::best_kernels(), view, view.rows - 1, row);
  EXPECT_TRUE(std::equal(row.begin(), row.end(),
                         matrix.weights.end() - static_cast<std::ptrdiff_t>(view.cols)));
}

TEST_P(EachEncoding, RowsMayLieApart) {
  const Matrix matrix(GetParam(), 70, 1280);
  expect_same_products(matrix, Spaced(matrix, false).view);
}

TEST(Linear, ColumnsMayLieApart) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const Matrix matrix({dtype}, 70, 1100);
    expect_same_products(matrix, Spaced(matrix, true).view);
  }
}

// 128 rows share their scales, and both rows and columns end within a tile.
TEST(Linear, Fp8RowsShareTheScalesOfTheirTiles) {
  constexpr std::uint64_t kRows = 300, kCols = 1100, kTiles = 9;
  const Encoding encoding = Encoding::fp8(DType::kF32);
  std::vector<std::byte> codes(kRows * kCols);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    codes[i] = static_cast<std::byte>(i * 31 % 0x78 + i % 2 * 0x80);
  }
  std::vector<float> scales(3 * kTiles);
  for (std::size_t i = 0; i < scales.size(); ++i) scales[i] = 0.001f * static_cast<float>(1 + i);
  weights::WeightView view{encoding, kRows, kCols, {}};
  view.planes[0] = {codes, kCols, 0};
  view.planes[1] = {std::as_bytes(std::span(scales)), kTiles * sizeof(float), 0};
  const auto x = waves(6 * kCols, 0.4);
  const TaskPool pool(2);
  for (const kernels::KernelTable* table : kernels::all_kernels()) {
    if (!table->supported(cpu_features())) continue;
    for (const std::size_t count : {1u, 6u}) {
      std::vector<float> out(count * kRows);
      linear({*table, pool}, view, {std::span(x).first(count * kCols), count}, out);
      for (std::size_t m = 0; m < count; ++m) {
        for (std::size_t n = 0; n < kRows; ++n) {
          double exact = 0, magnitude = 0;
          for (std::size_t c = 0; c < kCols; ++c) {
            const double w = static_cast<double>(
                                 e4m3_to_float(static_cast<std::uint8_t>(codes[n * kCols + c]))) *
                             static_cast<double>(scales[n / 128 * kTiles + c / 128]);
            exact += w * static_cast<double>(x[m * kCols + c]);
            magnitude += std::abs(w * static_cast<double>(x[m * kCols + c]));
          }
          ASSERT_NEAR(out[m * kRows + n], exact, magnitude * 2e-6) << table->name << " row " << n;
        }
      }
    }
  }
}

}  // namespace
}  // namespace pajamas::runtime
