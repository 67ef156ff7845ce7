// Float functions of every table that this machine can run, against sums in float64.
#include "kernels/math.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "codec/codec.h"
#include "kernels/table.h"
#include "tensor/convert.h"

namespace pajamas::kernels {
namespace {

// Numbers that any library gives alike: splitmix64, scaled to (-1, 1).
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : state_(seed) {}
  std::uint64_t bits() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  float next() { return static_cast<float>(static_cast<double>(bits() >> 11) * 0x1p-52 - 1.0); }
  std::vector<float> floats(std::size_t count) {
    std::vector<float> out(count);
    for (float& v : out) v = next();
    return out;
  }

 private:
  std::uint64_t state_;
};

class EachTable : public testing::TestWithParam<const KernelTable*> {
 protected:
  void SetUp() override {
    if (!GetParam()->supported(cpu_features())) GTEST_SKIP() << "not on this processor";
  }
  const MathKernels& math() const { return *GetParam()->math; }
};

INSTANTIATE_TEST_SUITE_P(Kernels, EachTable,
                         testing::ValuesIn(all_kernels().begin(), all_kernels().end()),
                         [](const auto& table) { return std::string(table.param->name); });

// The exact sum, and the largest error that float sums of 16 lanes may have.
struct Exact {
  double sum = 0;
  double magnitude = 0;
};
Exact exact_dot(const float* a, const float* b, std::size_t count) {
  Exact exact;
  for (std::size_t i = 0; i < count; ++i) {
    const double product = static_cast<double>(a[i]) * static_cast<double>(b[i]);
    exact.sum += product;
    exact.magnitude += std::abs(product);
  }
  return exact;
}

TEST_P(EachTable, DotTileIsWithinRoundingOfTheExactSum) {
  Numbers numbers(1);
  for (const std::size_t cols : {1u, 7u, 15u, 16u, 17u, 64u, 100u, 1000u, 1024u}) {
    for (const std::size_t w_rows : {1u, 3u, 4u, 8u, 13u}) {
      for (const std::size_t x_rows : {1u, 2u, 5u, 6u, 14u}) {
        const auto w = numbers.floats(w_rows * cols);
        const auto x = numbers.floats(x_rows * (cols + 3));
        std::vector<float> out(x_rows * (w_rows + 2), 100.0f);
        math().dot_tile({w.data(), w_rows, cols, x.data(), x_rows, cols + 3, cols, false,
                         out.data(), w_rows + 2});
        for (std::size_t m = 0; m < x_rows; ++m) {
          for (std::size_t n = 0; n < w_rows; ++n) {
            const Exact exact = exact_dot(&w[n * cols], &x[m * (cols + 3)], cols);
            const double steps = static_cast<double>(cols) / 8 + 6;
            ASSERT_NEAR(out[m * (w_rows + 2) + n], exact.sum, exact.magnitude * steps * 6e-8)
                << cols << " " << w_rows << " " << x_rows << " " << m << " " << n;
          }
          for (std::size_t n = w_rows; n < w_rows + 2; ++n) {
            ASSERT_EQ(out[m * (w_rows + 2) + n], 100.0f) << "wrote beyond its rows";
          }
        }
      }
    }
  }
}

TEST_P(EachTable, DotTileDoesNotDependOnItsShape) {
  Numbers numbers(2);
  constexpr std::size_t kCols = 1000, kW = 13, kX = 14;
  const auto w = numbers.floats(kW * kCols);
  const auto x = numbers.floats(kX * kCols);
  std::vector<float> together(kX * kW, 0.5f), alone(kX * kW, 0.5f);
  math().dot_tile({w.data(), kW, kCols, x.data(), kX, kCols, kCols, true, together.data(), kW});
  for (std::size_t m = 0; m < kX; ++m) {
    for (std::size_t n = 0; n < kW; ++n) {
      math().dot_tile(
          {&w[n * kCols], 1, kCols, &x[m * kCols], 1, kCols, kCols, true, &alone[m * kW + n], 1});
    }
  }
  EXPECT_EQ(together, alone);
}

TEST_P(EachTable, WeightedSumsAreWithinRoundingAndInOrder) {
  Numbers numbers(3);
  for (const std::size_t size : {1u, 8u, 20u, 64u, 128u, 150u}) {
    constexpr std::size_t kCount = 77, kSums = 7, kStride = kCount + 3;
    const std::size_t stride = size + 5;
    const auto weights = numbers.floats(kSums * kStride);
    const auto values = numbers.floats(kCount * stride);
    const auto before = numbers.floats(kSums * stride);
    const auto run = [&](std::size_t first, std::size_t count, std::size_t sum, std::size_t sums,
                         std::vector<float>& out) {
      math().weighted_sum({&weights[sum * kStride + first], kStride, &values[first * stride], count,
                           stride, size, sums, &out[sum * stride], stride});
    };
    std::vector<float> whole = before, halves = before, apart = before;
    run(0, kCount, 0, kSums, whole);
    run(0, 30, 0, kSums, halves);
    run(30, kCount - 30, 0, kSums, halves);
    EXPECT_EQ(whole, halves);
    for (std::size_t m = 0; m < kSums; ++m) run(0, kCount, m, 1, apart);
    EXPECT_EQ(whole, apart);
    for (std::size_t m = 0; m < kSums; ++m) {
      for (std::size_t d = 0; d < stride; ++d) {
        auto exact = static_cast<double>(before[m * stride + d]);
        for (std::size_t j = 0; j < kCount && d < size; ++j) {
          exact += static_cast<double>(weights[m * kStride + j]) *
                   static_cast<double>(values[j * stride + d]);
        }
        ASSERT_NEAR(whole[m * stride + d], exact, d < size ? 2e-5 : 0) << size << " " << m;
      }
    }
  }
}

// Every float16 and bfloat16 there is, and every code, at lengths that no register divides.
TEST_P(EachTable, WidensEveryNumberAsConvertDoes) {
  std::vector<std::uint16_t> all(65536 + 7);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
  const auto bytes = std::as_bytes(std::span(all));
  std::vector<float> expected(all.size()), out(all.size());
  const auto expect_same = [&] {
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (std::isnan(expected[i])) {
        ASSERT_TRUE(std::isnan(out[i])) << i;
      } else {
        ASSERT_EQ(std::bit_cast<std::uint32_t>(out[i]), std::bit_cast<std::uint32_t>(expected[i]))
            << i;
      }
    }
  };
  to_floats(DType::kF16, bytes, expected);
  math().widen_f16(bytes.data(), out.size(), out.data());
  expect_same();
  to_floats(DType::kBF16, bytes, expected);
  math().widen_bf16(bytes.data(), out.size(), out.data());
  expect_same();
  std::vector<std::byte> blocks(8 * 34);
  for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i] = static_cast<std::byte>(i);
  std::vector<float> codes(256), widened(256);
  codec::decode_rows({.dtype = DType::kQ8_0}, {{std::span<const std::byte>(blocks)}}, 256, codes);
  math().widen_q8_0(blocks.data(), 256, widened.data());
  EXPECT_EQ(widened, codes);
}

std::vector<Encoding> all_encodings() {
  std::vector<Encoding> all = {{DType::kF32},    {DType::kF16},     {DType::kBF16},
                               {DType::kQ4_0},   {DType::kQ4_1},    {DType::kQ5_0},
                               {DType::kMXFP4},  Encoding::mxfp4(), Encoding::fp8(DType::kBF16),
                               {DType::kQ5_1},   {DType::kQ8_0},    {DType::kQ2_K},
                               {DType::kQ3_K},   {DType::kQ4_K},    {DType::kQ5_K},
                               {DType::kQ6_K},   {DType::kIQ4_NL},  Encoding::mxfp8(),
                               Encoding::nvfp4()};
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    for (const DType scale : {DType::kF32, DType::kF16, DType::kBF16}) {
      all.push_back(Encoding::affine(bits, 32, scale));
      all.push_back(Encoding::affine(bits, 64, scale));
      all.push_back(Encoding::affine(bits, 128, scale));
    }
  }
  return all;
}

// Random bytes are valid rows of every format once no float among them is huge or not a number:
// a clear bit 6 keeps every sixteen-bit float below 2.
struct StoredRows {
  StoredRows(const Encoding& encoding, std::size_t rows, std::size_t cols, Numbers& numbers) {
    for (std::size_t p = 0; p < encoding.planes(); ++p) {
      bytes[p].resize(rows * encoding.plane_row_bytes(p, cols));
      for (std::byte& byte : bytes[p]) byte = static_cast<std::byte>(numbers.bits() & 0xBF);
      planes.plane[p] = bytes[p];
    }
  }
  std::vector<std::byte> bytes[Encoding::kMaxPlanes];
  ConstPlanes planes;
};

// What the engine does where there is no fused product: decode, then dot_tile chunk by chunk.
std::vector<float> decode_then_dot(const KernelTable& table, const Encoding& encoding,
                                   const ConstPlanes& planes, std::size_t rows, std::size_t cols,
                                   const std::vector<float>& x) {
  std::vector<float> decoded(rows * cols), out(rows);
  table.decode_rows(encoding, planes, cols, decoded);
  for (std::size_t c = 0; c < cols; c += kChunkCols) {
    table.math->dot_tile({&decoded[c], rows, cols, &x[c], 1, cols, std::min(kChunkCols, cols - c),
                          c != 0, out.data(), rows});
  }
  return out;
}

TEST_P(EachTable, PackedDotEqualsDecodingFirst) {
  Numbers numbers(4);
  for (const Encoding& encoding : all_encodings()) {
    for (const std::size_t cols : {256u, 1280u, 3584u}) {
      const PackedDot fused = math().packed_dot(encoding, cols);
      if (fused == nullptr) continue;
      for (const std::size_t rows : {1u, 4u, 6u}) {
        const StoredRows stored(encoding, rows, cols, numbers);
        const auto x = numbers.floats(cols);
        std::vector<float> out(rows);
        PackedRows args{encoding.group_size, encoding.dtype, {}, {}, rows, cols, x.data(),
                        out.data()};
        for (std::size_t p = 0; p < encoding.planes(); ++p) {
          args.plane[p] = stored.bytes[p].data();
          args.plane_row_bytes[p] = encoding.plane_row_bytes(p, cols);
        }
        fused(args);
        const auto expected = decode_then_dot(*GetParam(), encoding, stored.planes, rows, cols, x);
        ASSERT_EQ(0, std::memcmp(out.data(), expected.data(), rows * sizeof(float)))
            << encoding.name() << " " << rows << "x" << cols << ": " << out[0] << " and "
            << expected[0];
      }
    }
  }
}

TEST_P(EachTable, FusesTheFormatsThatMatter) {
  const bool fuses = GetParam()->name != "ref" && GetParam()->name != "neon";
  if (!fuses) GTEST_SKIP() << "decodes first, whatever the format";
  for (const DType dtype : {DType::kBF16, DType::kQ4_K, DType::kQ6_K, DType::kQ8_0}) {
    EXPECT_NE(math().packed_dot({dtype}, 3584), nullptr);
  }
  EXPECT_NE(math().packed_dot(Encoding::affine(4, 64, DType::kBF16), 3584), nullptr);
  EXPECT_EQ(math().packed_dot({DType::kBF16}, 3583), nullptr);
}

TEST(Math, RmsNormIsWithinRounding) {
  Numbers numbers(5);
  const auto x = numbers.floats(3584);
  const auto weight = numbers.floats(3584);
  std::vector<float> out(3584);
  rms_norm(x, weight, 1e-6, out);
  double squares = 0;
  for (const float v : x) squares += static_cast<double>(v) * static_cast<double>(v);
  const double root = std::sqrt(squares / 3584 + 1e-6);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double exact = static_cast<double>(x[i]) / root * static_cast<double>(weight[i]);
    ASSERT_NEAR(out[i], exact, std::abs(exact) * 2.5e-7);
  }
}

TEST(Math, SoftmaxIsWithinRoundingAndSumsToOne) {
  std::vector<float> x = {1.0f, 2.0f, -1000.0f, 80.0f, 79.5f, -INFINITY};
  const std::vector<float> before = x;
  softmax(x);
  double sum = 0;
  for (const float v : before) sum += std::exp(static_cast<double>(v) - 80.0);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double exact = std::exp(static_cast<double>(before[i]) - 80.0) / sum;
    EXPECT_NEAR(x[i], exact, exact * 3e-7) << i;
  }
  EXPECT_EQ(x[5], 0.0f);
}

TEST(Math, SiluMultiplyIsWithinRoundingAtAllSizes) {
  std::vector<float> gate = {0.0f, 1.0f, -1.0f, 20.0f, -20.0f, 100.0f, -100.0f, 1e-8f};
  const std::vector<float> before = gate;
  const std::vector<float> up(gate.size(), 3.0f);
  silu_multiply(gate, up);
  for (std::size_t i = 0; i < gate.size(); ++i) {
    const auto z = static_cast<double>(before[i]);
    const double exact = 3 * z / (1 + std::exp(-z));
    EXPECT_NEAR(gate[i], exact, std::abs(exact) * 5e-7 + 1e-37) << z;
  }
}

TEST(Math, LogSumExpIsExactToTheLastBits) {
  for (const std::size_t count : {1u, 15u, 16u, 33u, 5000u}) {
    for (const float spread : {0.0f, 4.0f, 60.0f, 900.0f}) {  // from all alike to one alone
      std::vector<float> x;
      long double sum = 0;
      for (std::size_t i = 0; i < count; ++i) {
        x.push_back(80 + spread * static_cast<float>(std::sin(static_cast<double>(i * i))));
      }
      const float top = *std::ranges::max_element(x);
      for (const float v : x) sum += std::exp(static_cast<long double>(v) - top);
      const auto exact = static_cast<double>(top + std::log(sum));
      EXPECT_NEAR(log_sum_exp(x), exact, std::abs(exact) * 4e-16) << count << " " << spread;
    }
  }
  for (const float bad :
       {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
        std::numeric_limits<float>::quiet_NaN()}) {
    for (const std::size_t at : {0u, 5u, 18u}) {
      std::vector<float> x(19, 1.0f);
      x[at] = bad;
      EXPECT_TRUE(std::isnan(log_sum_exp(x))) << bad << " " << at;
    }
  }
}

// Bad weights are found by their NaN, so every kernel has to pass it on; ASan's build would stop at
// a conversion of it to a whole number.
TEST(Math, WhatIsNoNumberStaysNone) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const float bad : {kNan, -kNan, std::bit_cast<float>(0x7FFFFFFFu)}) {
    for (const std::size_t at : {0u, 18u}) {  // in a vector, in the rest
      std::vector<float> x(19, 1.0f), gate(x);
      x[at] = gate[at] = bad;
      EXPECT_TRUE(std::isnan(exp_sum(x, 0.5f, 0.25f)));
      silu_multiply(gate, std::vector<float>(gate.size(), 2.0f));
      for (std::size_t i = 0; i < x.size(); ++i) {
        EXPECT_EQ(std::isnan(x[i]), i == at) << i;
        EXPECT_EQ(std::isnan(gate[i]), i == at) << i;
      }
    }
  }
}

TEST(Math, RopeTurnsHalfSplitPairsByExactAngles) {
  constexpr std::size_t kHalf = 64;
  std::vector<float> cos(kHalf), sin(kHalf);
  std::vector<double> frequencies(kHalf);
  for (std::size_t i = 0; i < kHalf; ++i) {
    frequencies[i] = std::pow(1e6, -static_cast<double>(i) / kHalf);
  }
  rope_angles(131071, frequencies, 1, cos, sin);
  const double angle = 131071.0 * std::pow(1e6, -1.0 / 64);
  EXPECT_FLOAT_EQ(cos[1], static_cast<float>(std::cos(angle)));
  EXPECT_FLOAT_EQ(cos[0], static_cast<float>(std::cos(131071.0)));
  EXPECT_FLOAT_EQ(sin[0], static_cast<float>(std::sin(131071.0)));
  std::vector<float> x(2 * kHalf);
  x[3] = 1.0f;
  rope(x, cos, sin);
  EXPECT_EQ(x[3], cos[3]);
  EXPECT_EQ(x[3 + kHalf], sin[3]);
  EXPECT_EQ(x[4], 0.0f);
  std::fill(x.begin(), x.end(), 0.0f);
  x[6] = 1.0f;
  rope_interleaved(x, cos, sin);
  EXPECT_EQ(x[6], cos[3]);
  EXPECT_EQ(x[7], sin[3]);
  EXPECT_EQ(x[8], 0.0f);
  rope_angles(7, frequencies, 1.25, cos, sin);
  EXPECT_FLOAT_EQ(cos[0], static_cast<float>(1.25 * std::cos(7.0)));
  EXPECT_FLOAT_EQ(sin[0], static_cast<float>(1.25 * std::sin(7.0)));
}

TEST(Math, SinksTakeTheirShareOfTheSoftmax) {
  for (const float sink : {-INFINITY, -50.0f, 0.0f, 3.0f, 500.0f}) {
    std::vector<float> x = {1.0f, 2.0f, -1.0f};
    const std::vector<float> before = x;
    softmax(x, sink);
    double sum = std::exp(static_cast<double>(sink) - 500);
    for (const float v : before) sum += std::exp(static_cast<double>(v) - 500);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double exact = std::exp(static_cast<double>(before[i]) - 500) / sum;
      EXPECT_NEAR(x[i], exact, exact * 3e-7 + 1e-44) << "sink " << sink;
    }
  }
}

TEST(Math, HadamardIsOrthonormalSymmetricAndItsOwnInverse) {
  for (const std::size_t size : {1u, 2u, 6u, 32u, 80u, 96u, 128u}) {
    std::vector<std::vector<float>> columns;
    for (std::size_t i = 0; i < size; ++i) {
      std::vector<float> unit(size);
      unit[i] = 1;
      hadamard(unit);
      columns.push_back(unit);
    }
    for (std::size_t i = 0; i < size; ++i) {
      for (std::size_t j = 0; j < size; ++j) {
        EXPECT_EQ(columns[i][j], columns[j][i]);
        double product = 0;
        for (std::size_t k = 0; k < size; ++k) {
          product += static_cast<double>(columns[i][k]) * static_cast<double>(columns[j][k]);
        }
        EXPECT_NEAR(product, i == j ? 1 : 0, 1e-6) << size << ": " << i << ", " << j;
      }
    }
    // Nothing is spread over fewer values than the largest power of two allows.
    EXPECT_FLOAT_EQ(std::abs(columns[0][std::bit_floor(size) - 1]),
                    1 / std::sqrt(static_cast<float>(std::bit_floor(size))));
    Numbers numbers(size);
    const auto x = numbers.floats(size);
    auto twice = x;
    hadamard(twice);
    hadamard(twice);
    for (std::size_t i = 0; i < size; ++i) EXPECT_NEAR(twice[i], x[i], 1e-6);
  }
}

}  // namespace
}  // namespace pajamas::kernels
