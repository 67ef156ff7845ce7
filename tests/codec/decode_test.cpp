// Random stored bytes against what the gguf package and mlx.core make of them
// (data/make_peers.py): the same floats, bit for bit.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "codec/codec.h"
#include "codec/fitted.h"
#include "codec/sample_weights.h"
#include "paths.h"

namespace pajamas::codec {
namespace {

struct Record {
  Encoding encoding;
  std::uint64_t cols = 0;
  test::Stored stored;
  std::vector<float> values;
};

std::vector<Record> read_records() {
  std::ifstream in(source_dir() + "/tests/codec/data/decode.bin", std::ios::binary);
  std::vector<Record> records;
  std::string line;
  while (std::getline(in, line)) {
    std::istringstream fields(line);
    std::string name;
    int bits = 0, group = 0;
    std::uint64_t rows = 0, sizes[3] = {};
    Record record;
    fields >> name >> bits >> group >> rows >> record.cols >> sizes[0] >> sizes[1] >> sizes[2];
    record.encoding = test::peer_encoding(name, bits, group);
    for (int p = 0; p < 3; ++p) {
      record.stored.plane[p].resize(sizes[p]);
      in.read(reinterpret_cast<char*>(record.stored.plane[p].data()),
              static_cast<std::streamsize>(sizes[p]));
    }
    record.values.resize(rows * record.cols);
    in.read(reinterpret_cast<char*>(record.values.data()),
            static_cast<std::streamsize>(record.values.size() * 4));
    EXPECT_TRUE(in.good()) << line;
    records.push_back(std::move(record));
  }
  return records;
}

TEST(Decode, EqualsThePeersBitForBit) {
  const std::vector<Record> records = read_records();
  ASSERT_EQ(records.size(), 12u + 54u + 20u + 6u);
  for (const Record& r : records) {
    ASSERT_TRUE(can_decode(r.encoding));
    std::vector<float> out(r.values.size(), 123.0f);
    decode_rows(r.encoding, r.stored.planes(), r.cols, out);
    for (std::size_t i = 0; i < out.size(); ++i) {
      ASSERT_EQ(out[i], r.values[i]) << test::full_name(r.encoding) << " at " << i;
    }
  }
}

TEST(Decode, PackUndoesUnpack) {
  for (const Record& r : read_records()) {
    if (!can_encode(r.encoding) || r.encoding.layout == Layout::kMxfp8) continue;
    const Grid grid = grid_of(r.encoding);
    std::vector<FittedBlock> blocks(r.values.size() / static_cast<std::size_t>(grid.block));
    unpack(r.encoding, r.stored.planes(), blocks);
    test::Stored again(r.encoding, r.values.size() / r.cols, r.cols);
    pack(r.encoding, blocks, again.planes());
    test::Stored expected = r.stored;
    if (r.encoding.dtype == DType::kTQ1_0) {  // several bytes stand for the same five digits
      std::vector<float> out(r.values.size());
      decode_rows(r.encoding, std::as_const(again).planes(), r.cols, out);
      EXPECT_EQ(out, r.values);
      continue;
    }
    if (grid.book.small_float) {  // but minus zero, which is never written
      for (std::size_t i = 0; i < expected.plane[0].size(); ++i) {
        std::byte& pair = expected.plane[0][i];
        if (r.encoding.layout == Layout::kStream && i % 17 == 0) continue;  // the scale
        if ((pair & std::byte{0x0F}) == std::byte{0x08}) pair &= std::byte{0xF0};
        if ((pair & std::byte{0xF0}) == std::byte{0x80}) pair &= std::byte{0x0F};
      }
    }
    EXPECT_EQ(again, expected) << test::full_name(r.encoding);
  }
}

TEST(Decode, UnpackedNumbersStandForTheValues) {
  for (const Record& r : read_records()) {
    if (r.encoding.layout == Layout::kMxfp8) continue;
    const Grid grid = grid_of(r.encoding);
    std::vector<FittedBlock> blocks(r.values.size() / static_cast<std::size_t>(grid.block));
    unpack(r.encoding, r.stored.planes(), blocks);
    for (std::size_t i = 0; i < r.values.size(); ++i) {
      const FittedBlock& b = blocks[i / static_cast<std::size_t>(grid.block)];
      const int column = static_cast<int>(i % static_cast<std::size_t>(grid.block));
      const int group = column / grid.group;
      float value = b.step(group) * static_cast<float>(b.codes[column]);
      if (grid.has_offset()) value += b.offset(group);
      ASSERT_EQ(value, r.values[i]) << test::full_name(r.encoding) << " at " << i;
    }
  }
}

TEST(Decode, PlainTypesGoBothWays) {
  const std::vector<float> weights = test::sample_weights("gauss");
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const Encoding encoding{dtype};
    test::Stored stored(encoding, test::kSampleRows, test::kSampleCols);
    encode_rows(encoding, weights, {}, test::kSampleCols, stored.planes());
    std::vector<float> out(weights.size());
    decode_rows(encoding, std::as_const(stored).planes(), test::kSampleCols, out);
    for (std::size_t i = 0; i < out.size(); ++i) {
      ASSERT_NEAR(out[i], weights[i],
                  dtype == DType::kF16 ? 1e-3f * std::abs(weights[i]) + 1e-7f : 0);
    }
  }
}

TEST(Decode, KnowsWhatItCannotDo) {
  EXPECT_FALSE(can_decode({DType::kNVFP4}));
  EXPECT_FALSE(can_decode({DType::kI32}));
  EXPECT_FALSE(can_decode(Encoding::affine(7, 64, DType::kBF16)));
  EXPECT_FALSE(can_decode(Encoding::affine(4, 16, DType::kBF16)));
  EXPECT_FALSE(can_decode(Encoding::affine(4, 64, DType::kQ4_0)));
  EXPECT_FALSE(can_encode({DType::kF64}));
  EXPECT_FALSE(can_encode(Encoding::fp8(DType::kF32)));
  EXPECT_TRUE(can_decode({DType::kF8E4M3}));
}

}  // namespace
}  // namespace pajamas::codec
