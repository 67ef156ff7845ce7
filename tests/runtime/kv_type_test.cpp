#include "runtime/native/cpu/kv_type.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "codec/codec.h"
#include "kernels/math.h"
#include "runtime/native/cpu/aligned.h"
#include "runtime/numbers.h"
#include "tensor/convert.h"

namespace pajamas::runtime {
namespace {

// What comes back of rows, as they were given: decoded, transformed back, without the filling.
std::vector<float> there_and_back(const kernels::KernelTable& kernels, const KvRow& row,
                                  std::span<const float> values) {
  const std::size_t count = values.size() / row.dim;
  ByteBuffer bytes(count * row.bytes);
  encode_kv(kernels, row, values, bytes);
  FloatBuffer decoded(count * row.stored);
  decode_kv(*kernels::best_kernels().math, row, bytes, decoded);
  std::vector<float> out;
  for (std::size_t i = 0; i < count; ++i) {
    const auto one = std::span(decoded).subspan(i * row.stored, row.dim);
    if (info(row.type).rotated) kernels::hadamard(one);
    out.insert(out.end(), one.begin(), one.end());
  }
  return out;
}

double relative_rms(std::span<const float> a, std::span<const float> exact) {
  double error = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double e = static_cast<double>(a[i]) - static_cast<double>(exact[i]);
    error += e * e;
    size += static_cast<double>(exact[i]) * static_cast<double>(exact[i]);
  }
  return std::sqrt(error / size);
}

TEST(KvType, IsFoundByItsName) {
  for (std::size_t i = 0; i < kKvTypes.size(); ++i) {
    EXPECT_EQ(static_cast<std::size_t>(kKvTypes[i].id), i);
    EXPECT_EQ(kv_type_by_name(kKvTypes[i].name), kKvTypes[i].id);
  }
  EXPECT_FALSE(kv_type_by_name("q5_0"));
  EXPECT_FALSE(kv_type_by_name(""));
}

TEST(KvType, RowsTakeTheBytesOfTheirBlocks) {
  EXPECT_EQ(KvRow(KvType::kF32, 80).bytes, 320u);
  EXPECT_EQ(KvRow(KvType::kBF16, 80).bytes, 160u);
  EXPECT_EQ(KvRow(KvType::kQ8_0, 128).bytes, 4 * 34u);
  EXPECT_EQ(KvRow(KvType::kQ4_0, 128).bytes, 4 * 18u);
  EXPECT_EQ(KvRow(KvType::kQ3_0, 128).bytes, 4 * 14u);
  EXPECT_EQ(KvRow(KvType::kQ3_0, 80).bytes, 3 * 14u);  // the last block is half full
  EXPECT_EQ(KvRow(KvType::kQ3_0, 80).stored, 96u);
}

// Of normally distributed values. An ideal uniform quantizer of 16 and 8 levels has 0.107 and 0.194
// over an endless block (Max 1960); a scale of its own for each 32 does a little better.
TEST(KvType, RoundTripsStayWithinTheTypesError) {
  const struct {
    KvType type;
    double limit;
  } kRoundTrips[] = {{KvType::kF32, 0},       {KvType::kF16, 2.5e-4}, {KvType::kBF16, 2e-3},
                     {KvType::kQ8_0, 5.5e-3}, {KvType::kQ4_0, 0.083}, {KvType::kQ3_0, 0.166}};
  for (const auto& [type, limit] : kRoundTrips) {
    for (const std::size_t dim : {2u, 64u, 80u, 96u, 128u}) {
      const KvRow row(type, dim);
      const auto values = Numbers(dim).normals(4000 / dim * dim, 3);
      const auto back = there_and_back(kernels::best_kernels(), row, values);
      EXPECT_LE(relative_rms(back, values), limit) << info(type).name << " of " << dim;
      if (type == KvType::kQ4_0 && dim == 128) {
        EXPECT_GT(relative_rms(back, values), limit / 2);
      }
    }
  }
}

TEST(KvType, EveryTableStoresAndReadsTheSame) {
  const auto values = Numbers(3).normals(7 * 96);
  for (const KvTypeInfo& type : kKvTypes) {
    const auto expected = there_and_back(kernels::kernels_by_name("ref"), {type.id, 96}, values);
    for (const kernels::KernelTable* table : kernels::all_kernels()) {
      if (!table->supported(cpu_features())) continue;
      EXPECT_EQ(there_and_back(*table, {type.id, 96}, values), expected) << table->name;
    }
  }
}

TEST(KvType, HalvesDecodeToTheirExactValues) {
  std::vector<std::byte> bytes(2 << 16);
  for (std::uint32_t i = 0; i < 1 << 16; ++i) {
    const auto half = static_cast<std::uint16_t>(i);
    std::memcpy(bytes.data() + 2 * i, &half, sizeof(half));
  }
  FloatBuffer out(1 << 16);
  decode_kv(*kernels::best_kernels().math, {KvType::kF16, 1 << 16}, bytes, out);
  for (std::uint32_t i = 0; i < 1 << 16; ++i) {
    const float exact = f16_to_float(static_cast<std::uint16_t>(i));
    if (std::isnan(exact)) {
      ASSERT_TRUE(std::isnan(out[i])) << i;
      continue;
    }
    ASSERT_EQ(std::bit_cast<std::uint32_t>(out[i]), std::bit_cast<std::uint32_t>(exact)) << i;
  }
}

// A second, plain reading of the layout in the header.
TEST(KvType, ThreeBitsLieWhereTheHeaderSays) {
  Numbers numbers(9);
  for (int round = 0; round < 100; ++round) {
    std::uint8_t block[14];
    for (std::uint8_t& byte : block) byte = static_cast<std::uint8_t>(numbers.bits());
    const std::uint16_t scale = float_to_f16(numbers.normal());
    std::memcpy(block, &scale, sizeof(scale));
    FloatBuffer out(32);
    decode_kv(*kernels::best_kernels().math, {KvType::kQ3_0, 32}, std::as_bytes(std::span(block)),
              out);
    for (unsigned i = 0; i < 32; ++i) {
      const int low = block[2 + i % 8] >> (i / 8 * 2) & 3;
      const int high = block[10 + i % 4] >> (i / 4) & 1;
      ASSERT_EQ(out[i], f16_to_float(scale) * static_cast<float>((high << 2 | low) - 4)) << i;
    }
  }
}

TEST(KvType, StoredFormatsDecodeAsTheirDefinitionDoes) {
  for (const KvTypeInfo& type : kKvTypes) {
    if (!type.type) continue;
    const KvRow row(type.id, 96);
    Numbers numbers(10);
    ByteBuffer bytes(50 * row.bytes);
    encode_kv(kernels::best_kernels(), row, numbers.normals(50 * 96), bytes);
    FloatBuffer out(50 * row.stored), exact(50 * row.stored);
    decode_kv(*kernels::best_kernels().math, row, bytes, out);
    codec::decode_rows({*type.type}, {{bytes}}, row.stored, exact);
    EXPECT_EQ(out, exact) << type.name;
  }
}

// Encoding what was decoded changes nothing: every code and scale came through.
TEST(KvType, StoredRowsAreStoredAgainUnchanged) {
  for (const KvType type : {KvType::kF16, KvType::kBF16, KvType::kQ3_0}) {
    const KvRow row(type, 32);
    Numbers numbers(11);
    ByteBuffer bytes(row.bytes), again(row.bytes);
    for (int round = 0; round < 50; ++round) {
      encode_kv(kernels::best_kernels(), row, numbers.normals(32), bytes);
      FloatBuffer decoded(32);
      decode_kv(*kernels::best_kernels().math, row, bytes, decoded);
      if (info(type).rotated) kernels::hadamard(decoded);
      encode_kv(kernels::best_kernels(), row, decoded, again);
      FloatBuffer twice(32);
      decode_kv(*kernels::best_kernels().math, row, again, twice);
      if (info(type).rotated) kernels::hadamard(twice);
      EXPECT_LT(relative_rms(twice, decoded), 1e-3) << info(type).name;
    }
  }
}

// Keys have a few channels that are always large; within a block they leave the others no codes.
TEST(KvType, RotationSavesRowsWithOutliers) {
  Numbers numbers(13);
  auto values = numbers.normals(200 * 128);
  for (std::size_t i = 0; i < values.size(); i += 128) {
    for (const std::size_t channel : {5u, 37u, 70u, 120u}) values[i + channel] *= 20;
  }
  const KvRow row(KvType::kQ4_0, 128);
  const double rotated = relative_rms(there_and_back(kernels::best_kernels(), row, values), values);
  std::vector<std::byte> bytes(200 * row.bytes);
  codec::encode_rows({DType::kQ4_0}, values, {}, 128, {{bytes}});
  std::vector<float> plain(values.size());
  codec::decode_rows({DType::kQ4_0}, {{bytes}}, 128, plain);
  // What matters is the small channels' share: there the plain way loses most of what there is.
  std::vector<float> small, small_plain, small_rotated;
  const auto back = there_and_back(kernels::best_kernels(), row, values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t channel = i % 128;
    if (channel == 5 || channel == 37 || channel == 70 || channel == 120) continue;
    small.push_back(values[i]);
    small_plain.push_back(plain[i]);
    small_rotated.push_back(back[i]);
  }
  EXPECT_LT(rotated, 0.083);
  EXPECT_LT(relative_rms(small_rotated, small), 0.8 * relative_rms(small_plain, small));
}

TEST(KvType, NumbersThatAreNotFiniteComeBackAsSuchAndHarmNoOtherRow) {
  for (const KvTypeInfo& type : kKvTypes) {
    for (const float bad :
         {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
          std::numeric_limits<float>::quiet_NaN()}) {
      auto values = Numbers(17).normals(3 * 64);
      values[64 + 7] = bad;
      const auto back = there_and_back(kernels::best_kernels(), {type.id, 64}, values);
      EXPECT_FALSE(std::isfinite(back[64 + 7])) << type.name;
      for (const std::size_t row : {0u, 2u}) {
        EXPECT_LT(relative_rms(std::span(back).subspan(row * 64, 64),
                               std::span(values).subspan(row * 64, 64)),
                  0.2)
            << type.name;
      }
    }
  }
}

TEST(KvType, TakesNothingAndExtremes) {
  for (const KvTypeInfo& type : kKvTypes) {
    const std::vector<float> zeros(64);
    EXPECT_EQ(there_and_back(kernels::best_kernels(), {type.id, 64}, zeros), zeros) << type.name;
    for (const float scale : {1e-12f, 1e-6f, 1e4f}) {
      const auto values = Numbers(19).normals(64, scale);
      for (const float v : there_and_back(kernels::best_kernels(), {type.id, 64}, values)) {
        EXPECT_TRUE(std::isfinite(v)) << type.name << " " << scale;
      }
    }
  }
}

// One large value: it comes back about as it was, or the type has no room for it and says so.
TEST(KvType, RefusesWhatItHasNoRoomFor) {
  for (const KvTypeInfo& type : kKvTypes) {
    bool refused = false;
    for (float large = 1e3f; large < 1e30f; large *= 4) {
      auto values = Numbers(23).normals(64, 1);
      values[40] = -large;
      try {
        const auto back = there_and_back(kernels::best_kernels(), {type.id, 64}, values);
        EXPECT_FALSE(refused) << type.name << " " << large;
        // The transform's rows are compared as a whole.
        if (!type.rotated) {
          EXPECT_NEAR(back[40] / -large, 1, 0.01) << type.name << " " << large;
        }
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
        EXPECT_NE(error.hint().find("--kv-cache bf16"), std::string::npos) << error.what();
        refused = true;
      }
    }
    EXPECT_EQ(refused, type.id != KvType::kF32 && type.id != KvType::kBF16) << type.name;
  }
}

}  // namespace
}  // namespace pajamas::runtime
