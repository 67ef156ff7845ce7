// The steps of encoding on every table that this machine can run: the same numbers from each, and
// error feedback against a plain loop.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "codec/codec.h"
#include "codec/fitted.h"
#include "codec/sample_weights.h"
#include "kernels/table.h"

namespace pajamas::kernels {
namespace {

using codec::FeedbackRows;
using codec::FittedBlock;
using codec::Grid;

class StepsOf : public testing::TestWithParam<const KernelTable*> {
 protected:
  void SetUp() override {
    if (!GetParam()->supported(cpu_features())) GTEST_SKIP() << "not on this processor";
  }
  const KernelTable& table() const { return *GetParam(); }
};

INSTANTIATE_TEST_SUITE_P(Tables, StepsOf,
                         testing::ValuesIn(all_kernels().begin(), all_kernels().end()),
                         [](const auto& table) { return std::string(table.param->name); });

void expect_equal(const Grid& grid, const FittedBlock& a, const FittedBlock& b) {
  ASSERT_EQ(a.d, b.d);
  ASSERT_EQ(a.m, b.m);
  for (int g = 0; g < grid.groups(); ++g) {
    ASSERT_EQ(a.scales[g], b.scales[g]);
    if (grid.has_offset()) {
      ASSERT_EQ(a.mins[g], b.mins[g]);
    }
  }
  ASSERT_TRUE(std::equal(a.codes, a.codes + grid.block, b.codes));
}

std::vector<FittedBlock> encoded_blocks(const Encoding& encoding, std::span<const float> weights,
                                        std::span<const float> importance, std::uint64_t cols) {
  test::Stored stored(encoding, weights.size() / cols, cols);
  codec::encode_rows(encoding, weights, importance, cols, stored.planes());
  std::vector<FittedBlock> blocks(weights.size() / encoding.block_cols());
  codec::unpack(encoding, std::as_const(stored).planes(), blocks);
  return blocks;
}

TEST_P(StepsOf, FitThenRoundIsWhatEncodingStores) {
  constexpr std::uint64_t kCols = 512, kRows = 19;  // sixteen rows together, and three more
  const std::vector<float> all = test::sample_weights("heavy");
  const std::span<const float> weights = std::span(all).first(kRows * kCols);
  std::vector<float> importance(kCols);
  test::Uniform uniform(8);
  for (float& w : importance) w = static_cast<float>(std::exp(3 * uniform.next()));
  for (const Encoding& encoding : test::block_encodings()) {
    for (const std::span<const float> columns : {std::span<const float>{}, {importance}}) {
      std::vector<FittedBlock> blocks(weights.size() / encoding.block_cols());
      table().fit_rows(encoding, weights, columns, kCols, blocks);
      table().round_rows(encoding, weights, columns, kCols, blocks);
      const auto expected = encoded_blocks(encoding, weights, columns, kCols);
      for (std::size_t b = 0; b < blocks.size(); ++b) {
        SCOPED_TRACE(test::full_name(encoding));
        expect_equal(codec::grid_of(encoding), blocks[b], expected[b]);
      }
    }
  }
}

// How strongly columns of the input go together: neighbours much, far ones hardly.
std::vector<double> hessian(std::size_t size) {
  std::vector<double> h(size * size);
  test::Uniform uniform(9);
  std::vector<double> scale(size);
  for (double& s : scale) s = std::exp(uniform.next() - 0.5);
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t j = 0; j < size; ++j) {
      const double apart = std::abs(static_cast<double>(i) - static_cast<double>(j));
      h[i * size + j] = scale[i] * scale[j] * std::pow(0.9, apart);
    }
  }
  return h;
}

// coefficients[j][k]: how far weight k moves for the error of column j, when all columns behind j
// make up for it as well as they can. From elimination of H^-1, a column at a time, in double.
std::vector<float> coefficients_of(std::vector<double> h, std::size_t size) {
  std::vector<double> inverse(size * size);
  for (std::size_t i = 0; i < size; ++i) inverse[i * size + i] = 1;
  for (std::size_t i = 0; i < size; ++i) {  // Gauss-Jordan; h is positive definite
    const double pivot = h[i * size + i];
    for (std::size_t k = 0; k < size; ++k) h[i * size + k] /= pivot, inverse[i * size + k] /= pivot;
    for (std::size_t r = 0; r < size; ++r) {
      const double factor = h[r * size + i];
      if (r == i || factor == 0) continue;
      for (std::size_t k = 0; k < size; ++k) {
        h[r * size + k] -= factor * h[i * size + k];
        inverse[r * size + k] -= factor * inverse[i * size + k];
      }
    }
  }
  std::vector<float> out(size * size);
  for (std::size_t j = 0; j < size; ++j) {
    const double pivot = inverse[j * size + j];
    for (std::size_t k = j + 1; k < size; ++k) {
      out[j * size + k] = static_cast<float>(inverse[j * size + k] / pivot);
    }
    for (std::size_t r = j + 1; r < size; ++r) {
      const double factor = inverse[r * size + j] / pivot;
      for (std::size_t k = j + 1; k < size; ++k) {
        inverse[r * size + k] -= factor * inverse[j * size + k];
      }
    }
  }
  return out;
}

struct Rounded {
  std::vector<float> weights, errors;
  std::vector<FittedBlock> blocks;
};

constexpr std::size_t kRows = 37;  // two tiles of rows, and five more
constexpr std::size_t kGap = 3;    // columns between the rows that are not of the block

// The first `block` columns of rows, with scales that were fitted to them.
Rounded start(const Encoding& encoding, std::size_t size) {
  const std::vector<float> all = test::sample_weights("heavy");
  std::vector<float> packed;
  Rounded r{std::vector<float>(kRows * (size + kGap), 77.0f), std::vector<float>(kRows * size),
            std::vector<FittedBlock>(kRows)};
  for (std::size_t row = 0; row < kRows; ++row) {
    for (std::size_t k = 0; k < size; ++k) {
      packed.push_back(row == 3 ? 0.0f : all[row * size + k]);  // and a row of zeros
      r.weights[row * (size + kGap) + k] = packed.back();
    }
  }
  codec::fit(encoding, packed, {}, r.blocks);
  return r;
}

FeedbackRows rows_of(Rounded& r, const std::vector<float>& coefficients, std::size_t size) {
  return {r.weights.data(),    kRows,           size + kGap,
          coefficients.data(), r.blocks.data(), r.errors.data()};
}

// One row, column by column.
void plain_row(const Grid& grid, float* x, const float* coefficients, FittedBlock& block,
               float* errors) {
  for (int j = 0; j < grid.block; ++j) {
    const int group = j / grid.group;
    const float step = block.step(group), offset = grid.has_offset() ? block.offset(group) : 0.0f;
    const int code = codec::round_one(grid, x[j], step, block.offset(group));
    block.codes[j] = static_cast<std::int16_t>(code);
    errors[j] = x[j] - (step * static_cast<float>(code) + offset);
    for (int k = j + 1; k < grid.block; ++k) x[k] -= errors[j] * coefficients[j * grid.block + k];
  }
}

TEST_P(StepsOf, FeedbackIsThePlainLoops) {
  for (const Encoding& encoding : test::block_encodings()) {
    const Grid grid = codec::grid_of(encoding);
    if (grid.book.is_vectors()) continue;  // below
    const auto size = static_cast<std::size_t>(grid.block);
    const auto coefficients = coefficients_of(hessian(size), size);
    Rounded expected = start(encoding, size), got = expected;
    for (std::size_t row = 0; row < kRows; ++row) {
      plain_row(grid, &expected.weights[row * (size + kGap)], coefficients.data(),
                expected.blocks[row], &expected.errors[row * size]);
    }
    table().round_feedback(encoding, rows_of(got, coefficients, size));
    SCOPED_TRACE(test::full_name(encoding));
    ASSERT_EQ(got.weights, expected.weights);
    ASSERT_EQ(got.errors, expected.errors);
    for (std::size_t row = 0; row < kRows; ++row) {
      expect_equal(grid, got.blocks[row], expected.blocks[row]);
    }
  }
}

// Columns that are set together: whatever was chosen, every column's error goes to those behind it,
// and every table chooses alike.
TEST_P(StepsOf, FeedbackOfVectorsPassesOnWhatIsLost) {
  for (const DType dtype : test::later_types()) {
    const Encoding encoding{dtype};
    const Grid grid = codec::grid_of(encoding);
    const auto size = static_cast<std::size_t>(grid.block);
    const auto coefficients = coefficients_of(hessian(size), size);
    Rounded expected = start(encoding, size), got = expected, ref = expected;
    codec::round_feedback(encoding, rows_of(ref, coefficients, size));
    table().round_feedback(encoding, rows_of(got, coefficients, size));
    SCOPED_TRACE(test::full_name(encoding));
    ASSERT_EQ(got.weights, ref.weights);
    ASSERT_EQ(got.errors, ref.errors);
    for (std::size_t row = 0; row < kRows; ++row) {
      expect_equal(grid, got.blocks[row], ref.blocks[row]);
      float* x = &expected.weights[row * (size + kGap)];
      for (std::size_t j = 0; j < size; ++j) {
        const float step = got.blocks[row].step(static_cast<int>(j) / grid.group);
        const float error = x[j] - step * static_cast<float>(got.blocks[row].codes[j]);
        ASSERT_EQ(got.errors[row * size + j], error);
        for (std::size_t k = j + 1; k < size; ++k) x[k] -= error * coefficients[j * size + k];
      }
    }
    ASSERT_EQ(got.weights, expected.weights);
  }
}

double loss(const std::vector<double>& h, const Grid& grid, const Rounded& before,
            const std::vector<FittedBlock>& blocks) {
  const auto size = static_cast<std::size_t>(grid.block);
  double sum = 0;
  for (std::size_t row = 0; row < kRows; ++row) {
    std::vector<double> e(size);
    for (std::size_t k = 0; k < size; ++k) {
      const int group = static_cast<int>(k) / grid.group;
      const double offset = grid.has_offset() ? double{blocks[row].offset(group)} : 0.0;
      e[k] = before.weights[row * (size + kGap) + k] -
             (double{blocks[row].step(group)} * blocks[row].codes[k] + offset);
    }
    for (std::size_t i = 0; i < size; ++i) {
      for (std::size_t k = 0; k < size; ++k) sum += e[i] * h[i * size + k] * e[k];
    }
  }
  return sum;
}

// What it is for: the error of the products becomes smaller than with the nearest codes.
TEST_P(StepsOf, FeedbackMakesUpForErrors) {
  for (const Encoding& encoding :
       {Encoding{DType::kQ4_0}, Encoding{DType::kIQ4_NL}, Encoding{DType::kMXFP4},
        Encoding{DType::kQ3_K}, Encoding{DType::kQ4_K}, Encoding{DType::kIQ4_XS},
        Encoding{DType::kIQ3_S}, Encoding{DType::kIQ3_XXS}, Encoding{DType::kIQ2_XXS},
        Encoding{DType::kIQ1_M}, Encoding{DType::kIQ1_S}, Encoding{DType::kTQ2_0},
        Encoding::affine(3, 64, DType::kBF16), Encoding::nvfp4()}) {
    const Grid grid = codec::grid_of(encoding);
    const auto size = static_cast<std::size_t>(grid.block);
    const std::vector<double> h = hessian(size);
    const auto coefficients = coefficients_of(h, size);
    const Rounded before = start(encoding, size);
    Rounded nearest = before, fed = before;
    table().round_feedback(encoding, rows_of(nearest, std::vector<float>(size * size), size));
    table().round_feedback(encoding, rows_of(fed, coefficients, size));
    // Less where several columns are set at once, and where all are far from their codes.
    const bool coarse = grid.book.is_vectors() || grid.max_code == 1;
    EXPECT_LT(loss(h, grid, before, fed.blocks),
              (coarse ? 0.8 : 0.5) * loss(h, grid, before, nearest.blocks))
        << test::full_name(encoding);
    // Without coefficients it is plain rounding, and the weights stay.
    EXPECT_EQ(nearest.weights, before.weights);
    std::vector<float> packed;
    for (std::size_t row = 0; row < kRows; ++row) {
      const auto from = before.weights.begin() + static_cast<std::ptrdiff_t>(row * (size + kGap));
      packed.insert(packed.end(), from, from + static_cast<std::ptrdiff_t>(size));
    }
    std::vector<FittedBlock> rounded = before.blocks;
    table().round_rows(encoding, packed, {}, packed.size(), rounded);
    for (std::size_t row = 0; row < kRows; ++row) {
      expect_equal(grid, nearest.blocks[row], rounded[row]);
    }
  }
}

}  // namespace
}  // namespace pajamas::kernels
