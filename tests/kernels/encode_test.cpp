// Every kernel table must write the bytes of the scalar reference, and read its floats.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <utility>

#include "base/error.h"
#include "codec/sample_weights.h"
#include "effort.h"
#include "kernels/table.h"
#include "paths.h"

namespace pajamas::kernels {
namespace {

std::vector<const KernelTable*> runnable() {
  std::vector<const KernelTable*> tables;
  for (const KernelTable* table : all_kernels()) {
    if (table->supported(cpu_features())) tables.push_back(table);
  }
  return tables;
}

void expect_same_bytes(std::span<const float> weights, std::span<const float> importance,
                       std::uint64_t cols) {
  const std::uint64_t rows = weights.size() / cols;
  for (const Encoding& encoding : test::packed_encodings()) {
    if (!encoding.fits(cols)) continue;
    test::Stored expected(encoding, rows, cols);
    codec::encode_rows(encoding, weights, importance, cols, expected.planes());
    std::vector<float> values(weights.size());
    codec::decode_rows(encoding, std::as_const(expected).planes(), cols, values);
    for (const KernelTable* table : runnable()) {
      test::Stored stored(encoding, rows, cols);
      table->encode_rows(encoding, weights, importance, cols, stored.planes());
      EXPECT_EQ(stored, expected) << table->name << " " << test::full_name(encoding);
      std::vector<float> out(weights.size());
      table->decode_rows(encoding, std::as_const(expected).planes(), cols, out);
      EXPECT_EQ(std::memcmp(out.data(), values.data(), out.size() * 4), 0)
          << table->name << " " << test::full_name(encoding);
    }
  }
}

TEST(EncodeKernels, WriteTheSameBytesForOrdinaryWeights) {
  for (const char* kind : {"gauss", "heavy", "outlier"}) {
    expect_same_bytes(test::sample_weights(kind), {}, test::kSampleCols);
  }
}

TEST(EncodeKernels, WriteTheSameBytesForHardWeights) {
  const std::vector<std::uint64_t> some{96, 256}, all{32, 96, 256, 1024};
  for (const std::uint64_t cols : thorough() ? all : some) {
    const std::vector<float> weights = test::hard_weights(cols);
    expect_same_bytes(weights, {}, cols);
    std::vector<float> importance(cols);
    test::Uniform uniform(5);
    for (float& w : importance) w = static_cast<float>(std::exp(30 * uniform.next() - 15));
    expect_same_bytes(weights, importance, cols);
    expect_same_bytes(weights, std::vector<float>(cols, 0.0f), cols);
  }
}

// Rows are encoded 16 at a time where they share an importance; one alone must come out the same.
TEST(EncodeKernels, WriteTheSameBytesForRowsTogetherAndAlone) {
  constexpr std::uint64_t kCols = 256, kRows = 37;
  std::vector<float> weights = test::hard_weights(kCols);
  const std::vector<float> ordinary = test::sample_weights("heavy");
  weights.insert(weights.begin(), ordinary.begin(), ordinary.begin() + 24 * kCols);
  ASSERT_GE(weights.size(), kRows * kCols);
  std::vector<float> importance(kCols);
  test::Uniform uniform(6);
  for (float& w : importance) w = static_cast<float>(std::exp(3 * uniform.next()));
  const std::span<const float> all = std::span(weights).first(kRows * kCols);
  for (const Encoding& encoding : test::packed_encodings()) {
    test::Stored together(encoding, kRows, kCols);
    best_kernels().encode_rows(encoding, all, importance, kCols, together.planes());
    for (std::uint64_t row = 0; row < kRows; ++row) {
      test::Stored alone(encoding, 1, kCols);
      best_kernels().encode_rows(encoding, all.subspan(row * kCols, kCols), importance, kCols,
                                 alone.planes());
      for (std::size_t plane = 0; plane < encoding.planes(); ++plane) {
        const auto part = alone.planes().plane[plane];
        const auto whole = together.planes().plane[plane].subspan(row * part.size(), part.size());
        EXPECT_TRUE(std::ranges::equal(part, whole)) << test::full_name(encoding) << " row " << row;
      }
    }
  }
}

TEST(EncodeKernels, WriteTheSameBytesForLongRows) {
  const std::vector<float> weights = test::sample_weights("heavy");
  expect_same_bytes({weights.data(), 3 * 18944}, {}, 18944);
}

std::uint64_t hash_of(const test::Stored& stored) {
  std::uint64_t hash = 0xCBF29CE484222325u;  // FNV-1a
  for (const auto& plane : stored.plane) {
    for (const std::byte byte : plane) {
      hash = (hash ^ static_cast<std::uint64_t>(byte)) * 0x100000001B3u;
    }
  }
  return hash;
}

// encoded_hashes.txt was written by this test (it prints a missing or changed line): the bytes must
// stay the same on every compiler, machine and optimisation level. Change it together with the
// encoders, and only then.
TEST(EncodeKernels, WriteTheBytesThatWereWrittenElsewhere) {
  std::vector<float> weights = test::sample_weights("heavy");
  const std::vector<float> hard = test::hard_weights(test::kSampleCols);
  weights.insert(weights.end(), hard.begin(), hard.end());
  const std::uint64_t rows = weights.size() / test::kSampleCols;
  std::ifstream in(source_dir() + "/tests/codec/data/encoded_hashes.txt");
  for (const Encoding& encoding : test::packed_encodings()) {
    std::string name;
    std::uint64_t expected = 0;
    in >> name >> std::hex >> expected;
    test::Stored stored(encoding, rows, test::kSampleCols);
    best_kernels().encode_rows(encoding, weights, {}, test::kSampleCols, stored.planes());
    const std::uint64_t hash = hash_of(stored);
    if (name == test::full_name(encoding) && hash == expected) continue;
    ADD_FAILURE() << "changed: " << test::full_name(encoding) << " " << std::hex << hash;
  }
}

TEST(KernelTables, AreChosenByNameOrRefused) {
  EXPECT_EQ(kernels_by_name("ref").name, "ref");
  EXPECT_EQ(kernels_by_name(best_kernels().name).name, best_kernels().name);
  try {
    kernels_by_name("sse9");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_NE(error.hint().find("ref"), std::string::npos);
  }
  for (const KernelTable* table : all_kernels()) {
    if (table->supported(cpu_features())) continue;
    EXPECT_THROW(kernels_by_name(table->name), Error);
  }
}

}  // namespace
}  // namespace pajamas::kernels
