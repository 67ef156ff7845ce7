// Codebooks: the tables themselves, and that every entry with every sign and shift is stored as
// what it is.
#include <gtest/gtest.h>

#include <set>
#include <utility>

#include "codec/codec.h"
#include "codec/fitted.h"
#include "codec/sample_weights.h"

namespace pajamas::codec {
namespace {

std::vector<Encoding> vector_encodings() {
  std::vector<Encoding> all;
  for (const Encoding& encoding : test::block_encodings()) {
    if (grid_of(encoding).book.is_vectors()) all.push_back(encoding);
  }
  return all;
}

TEST(Codebooks, AreThoseOfTheFormats) {
  const std::vector<Encoding> all = vector_encodings();
  ASSERT_EQ(all.size(), 7u);
  for (const Encoding& encoding : all) {
    const CodeBook book = grid_of(encoding).book;
    SCOPED_TRACE(encoding.name());
    std::size_t expected = 256;  // bits of an index
    if (encoding.dtype == DType::kIQ3_S || encoding.dtype == DType::kIQ2_XS) expected = 512;
    if (encoding.dtype == DType::kIQ2_S) expected = 1024;
    if (encoding.dtype == DType::kIQ1_S || encoding.dtype == DType::kIQ1_M) expected = 2048;
    EXPECT_EQ(book.entries.size(), expected);
    for (std::size_t e = 0; e < expected; ++e) {
      if (e > 0) {  // so none is there twice
        EXPECT_LT(book.entries[e - 1], book.entries[e]);
      }
      for (int k = 0; k < book.columns; ++k) {
        ASSERT_LT((book.entries[e] >> (k * book.bits)) & ((1u << book.bits) - 1),
                  book.levels.size());
      }
    }
  }
}

// A block with random entries, signs and shifts as the format allows them.
FittedBlock random_block(const Grid& grid, test::Uniform& uniform) {
  const CodeBook& book = grid.book;
  FittedBlock block;
  block.d = 0.0625f * grid.unit;
  const auto below = [&](int count) { return static_cast<int>(uniform.next() * count); };
  for (int g = 0; g < grid.groups(); ++g) {
    block.scales[g] = static_cast<std::int8_t>(2 * below((grid.max_scale + 1) / 2) + 1);
  }
  int shift = 1;
  for (int first = 0; first < grid.block; first += 8) {
    if (book.shifted != 0 && first % book.shifted == 0) shift = 2 * below(2) - 1;
    int product = 1;
    for (int i = first; i < first + 8; ++i) {
      static std::size_t entry = 0;
      if (i % book.columns == 0) {
        entry = static_cast<std::size_t>(below(static_cast<int>(book.entries.size())));
      }
      int code = book.level(entry, i % book.columns);
      if (book.signs == Signs::kOfLevels) {
        code += shift;
      } else {
        const bool last = book.signs == Signs::kEven && i == first + 7;
        const int sign = last ? product : 2 * below(2) - 1;
        product *= sign;
        code *= sign;
      }
      block.codes[i] = static_cast<std::int16_t>(code);
    }
  }
  return block;
}

TEST(Codebooks, WhatIsPackedIsWhatIsStored) {
  for (const Encoding& encoding : vector_encodings()) {
    const Grid grid = grid_of(encoding);
    test::Uniform uniform(11);
    std::vector<FittedBlock> blocks;
    std::set<std::int16_t> seen;
    for (int b = 0; b < 200; ++b) {
      blocks.push_back(random_block(grid, uniform));
      for (int i = 0; i < grid.block; ++i) seen.insert(blocks.back().codes[i]);
    }
    // All there are: of eight levels both signs, or three levels moved both ways.
    EXPECT_EQ(seen.size(), 2 * grid.book.levels.size());
    EXPECT_EQ(*seen.begin(), grid.min_code);
    EXPECT_EQ(*seen.rbegin(), grid.max_code);
    const auto cols = blocks.size() * static_cast<std::size_t>(grid.block);
    test::Stored stored(encoding, 1, cols);
    pack(encoding, blocks, stored.planes());
    std::vector<FittedBlock> read(blocks.size());
    unpack(encoding, std::as_const(stored).planes(), read);
    for (std::size_t b = 0; b < blocks.size(); ++b) {
      SCOPED_TRACE(encoding.name());
      ASSERT_EQ(read[b].d, blocks[b].d);
      for (int g = 0; g < grid.groups(); ++g) ASSERT_EQ(read[b].scales[g], blocks[b].scales[g]);
      for (int i = 0; i < grid.block; ++i) ASSERT_EQ(read[b].codes[i], blocks[b].codes[i]) << i;
    }
  }
}

// Under given scales no other entry is nearer, with importance too: against a plain loop over the
// book for the eight columns that share their signs.
TEST(Codebooks, RoundingFindsTheNearest) {
  for (const Encoding& encoding : vector_encodings()) {
    const Grid grid = grid_of(encoding);
    const CodeBook& book = grid.book;
    if (book.shifted > 8) continue;  // IQ1_S shifts whole groups: the oracle knows
    const std::vector<float> all = test::sample_weights("heavy");
    const std::span<const float> weights(all.data(), 256);
    std::vector<float> importance(256);
    test::Uniform uniform(12);
    for (float& w : importance) w = static_cast<float>(std::exp(4 * uniform.next()));
    FittedBlock block;
    fit(encoding, weights, importance, {&block, 1});
    round(encoding, weights, importance, {&block, 1});
    const auto error = [&](int first, std::span<const int> codes) {
      double sum = 0;
      for (int k = 0; k < 8; ++k) {
        const auto i = static_cast<std::size_t>(first + k);
        const double e = weights[i] - double{block.step((first + k) / grid.group)} *
                                          codes[static_cast<std::size_t>(k)];
        sum += importance[i] * e * e;
      }
      return sum;
    };
    for (int first = 0; first < 256; first += 8) {
      std::vector<int> ours(block.codes + first, block.codes + first + 8), other(8);
      const double least = error(first, ours);
      const auto count = static_cast<int>(book.entries.size());
      for (int tried = 0; tried < 3 * count; ++tried) {  // each once, and random pairs and signs
        int product = 1;
        const int shift = uniform.next() < 0.5 ? 1 : -1;
        for (int k = 0; k < 8; ++k) {
          static std::size_t entry = 0;
          if (k % book.columns == 0) {
            entry = static_cast<std::size_t>(tried < count ? tried : uniform.next() * count);
          }
          int code = book.level(entry, k % book.columns);
          if (book.signs == Signs::kOfLevels) {
            code += shift;
          } else {
            int sign = weights[static_cast<std::size_t>(first + k)] < 0 ? -1 : 1;
            if (book.signs == Signs::kEven && k == 7) sign = product;
            product *= sign;
            code *= sign;
          }
          other[static_cast<std::size_t>(k)] = code;
        }
        ASSERT_GE(error(first, other), least * (1 - 1e-5)) << encoding.name() << " " << first;
      }
    }
  }
}

}  // namespace
}  // namespace pajamas::codec
