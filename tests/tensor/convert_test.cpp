#include "tensor/convert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace pajamas {
namespace {

// The value of a narrow float by its definition, in double.
double by_definition(unsigned bits, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = static_cast<int>(bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const int mantissa = static_cast<int>(bits) & ((1 << mantissa_bits) - 1);
  const double sign = (bits >> (exponent_bits + mantissa_bits)) != 0 ? -1.0 : 1.0;
  const double fraction = std::ldexp(mantissa, -mantissa_bits);
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias);
  return sign * std::ldexp(1.0 + fraction, exponent - bias);
}

bool same_bits(float a, float b) { return std::memcmp(&a, &b, sizeof(a)) == 0; }

// The stored value nearest to `value`, halves to the even one, found by looking at both neighbours.
template <class Decode>
unsigned nearest(double value, unsigned infinity, double past_largest, Decode decode) {
  const double magnitude = std::fabs(value);
  unsigned low = 0;
  for (unsigned high = infinity; high - low > 1;) {  // decode(low) <= magnitude < decode(high)
    const unsigned middle = (low + high) / 2;
    (decode(middle) <= magnitude ? low : high) = middle;
  }
  const double below = decode(low);
  const double above = low + 1 == infinity ? past_largest : decode(low + 1);
  const bool up = magnitude - below > above - magnitude ||
                  (magnitude - below == above - magnitude && (low & 1) != 0);
  return low + (up ? 1 : 0);
}

// Every float at and around every stored value and every half-way point, both signs.
template <class Check>
void around_every_value(unsigned infinity, double past_largest, double (*decode)(unsigned),
                        Check check) {
  for (unsigned bits = 0; bits < infinity; ++bits) {
    const double here = decode(bits);
    const double next = bits + 1 == infinity ? past_largest : decode(bits + 1);
    for (const double centre : {here, (here + next) / 2}) {
      const auto at = static_cast<float>(centre);
      for (const float value : {at, std::nextafterf(at, -1.0f), std::nextafterf(at, 3e38f)}) {
        check(std::fabs(value));
        check(-std::fabs(value));
      }
    }
  }
}

double f16_value(unsigned bits) { return by_definition(bits, 5, 10); }
double bf16_value(unsigned bits) { return by_definition(bits, 8, 7); }

TEST(F16, EveryValueDecodes) {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const float value = f16_to_float(static_cast<std::uint16_t>(bits));
    if ((bits & 0x7C00) == 0x7C00) {
      EXPECT_EQ(std::isnan(value), (bits & 0x3FF) != 0);
      EXPECT_EQ(std::isinf(value), (bits & 0x3FF) == 0);
      EXPECT_EQ(std::signbit(value), (bits & 0x8000) != 0);
    } else {
      ASSERT_TRUE(same_bits(value, static_cast<float>(f16_value(bits)))) << bits;
    }
  }
}

TEST(F16, EncodesToTheNearestEven) {
  around_every_value(0x7C00, 65536.0, f16_value, [](float value) {
    const unsigned expected = nearest(value, 0x7C00, 65536.0, f16_value);
    ASSERT_EQ(float_to_f16(value), expected | (std::signbit(value) ? 0x8000u : 0u)) << value;
  });
  EXPECT_EQ(float_to_f16(65519.996f), 0x7BFF);
  EXPECT_EQ(float_to_f16(65520.0f), 0x7C00);
  EXPECT_EQ(float_to_f16(-std::numeric_limits<float>::infinity()), 0xFC00);
  EXPECT_EQ(float_to_f16(std::numeric_limits<float>::max()), 0x7C00);
  EXPECT_EQ(float_to_f16(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_TRUE(std::isnan(f16_to_float(float_to_f16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(BF16, EveryValueDecodesAndRoundTrips) {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const float value = bf16_to_float(static_cast<std::uint16_t>(bits));
    if ((bits & 0x7F80) == 0x7F80) {
      EXPECT_EQ(std::isnan(value), (bits & 0x7F) != 0);
      EXPECT_EQ(std::isnan(bf16_to_float(float_to_bf16(value))), std::isnan(value));
      continue;
    }
    ASSERT_TRUE(same_bits(value, static_cast<float>(bf16_value(bits)))) << bits;
    ASSERT_EQ(float_to_bf16(value), bits);
  }
}

TEST(BF16, EncodesToTheNearestEven) {
  around_every_value(0x7F80, 0x1p128, bf16_value, [](float value) {
    if (std::isinf(value)) return;
    const unsigned expected = nearest(value, 0x7F80, 0x1p128, bf16_value);
    ASSERT_EQ(float_to_bf16(value), expected | (std::signbit(value) ? 0x8000u : 0u)) << value;
  });
  EXPECT_EQ(float_to_bf16(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_EQ(float_to_bf16(std::numeric_limits<float>::infinity()), 0x7F80);
  // A NaN whose payload lies below the cut must not become an infinity.
  EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(std::bit_cast<float>(0x7F800001u)))));
}

TEST(Float8, EveryValueDecodes) {
  for (unsigned bits = 0; bits < 256; ++bits) {
    const auto byte = static_cast<std::uint8_t>(bits);
    if ((bits & 0x7F) == 0x7F) {
      EXPECT_TRUE(std::isnan(e4m3_to_float(byte)));
    } else {
      EXPECT_TRUE(same_bits(e4m3_to_float(byte), static_cast<float>(by_definition(bits, 4, 3))));
    }
    if ((bits & 0x7C) == 0x7C) {
      EXPECT_EQ(std::isinf(e5m2_to_float(byte)), (bits & 3) == 0);
      EXPECT_EQ(std::isnan(e5m2_to_float(byte)), (bits & 3) != 0);
      EXPECT_EQ(std::signbit(e5m2_to_float(byte)) && (bits & 3) == 0, bits == 0xFC);
    } else {
      EXPECT_TRUE(same_bits(e5m2_to_float(byte), static_cast<float>(by_definition(bits, 5, 2))));
    }
    if (bits == 255) {
      EXPECT_TRUE(std::isnan(e8m0_to_float(byte)));
    } else {
      EXPECT_EQ(e8m0_to_float(byte), std::pow(2.0, static_cast<int>(bits) - 127));
    }
  }
  EXPECT_EQ(e4m3_to_float(0x7E), 448.0f);  // OCP's table of largest values
  EXPECT_EQ(e5m2_to_float(0x7B), 57344.0f);
}

TEST(Rows, ConvertUnalignedInEveryType) {
  const std::vector<float> values{0.0f, -1.5f, 0.25f, 3.0f, -448.0f};
  const auto check = [&](DType dtype, const auto& stored) {
    ASSERT_TRUE(converts_to_float(dtype));
    std::vector<std::byte> bytes(sizeof(stored[0]) * stored.size() + 1);
    std::memcpy(bytes.data() + 1, stored.data(), bytes.size() - 1);
    std::vector<float> out(stored.size());
    to_floats(dtype, std::span(bytes).subspan(1), out);
    EXPECT_EQ(out, values) << info(dtype).name;
  };
  check(DType::kF32, values);
  check(DType::kF64, std::vector<double>(values.begin(), values.end()));
  check(DType::kF16, std::vector<std::uint16_t>{0, 0xBE00, 0x3400, 0x4200, 0xDF00});
  check(DType::kBF16, std::vector<std::uint16_t>{0, 0xBFC0, 0x3E80, 0x4040, 0xC3E0});
  check(DType::kF8E4M3, std::vector<std::uint8_t>{0, 0xBC, 0x28, 0x44, 0xFE});
  EXPECT_FALSE(converts_to_float(DType::kI32));
  EXPECT_FALSE(converts_to_float(DType::kQ8_0));
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    std::vector<std::byte> bytes(info(dtype).block_bytes * values.size());
    from_floats(dtype, values, bytes);
    std::vector<float> out(values.size());
    to_floats(dtype, bytes, out);
    EXPECT_EQ(out, values);
  }
}

}  // namespace
}  // namespace pajamas
