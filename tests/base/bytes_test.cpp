#include "base/bytes.h"

#include <gtest/gtest.h>

namespace pajamas {
namespace {

TEST(CheckedArithmetic, ThrowsInsteadOfWrapping) {
  EXPECT_EQ(checked_mul(UINT64_MAX, 1), UINT64_MAX);
  EXPECT_EQ(checked_mul(UINT64_MAX, 0), 0u);
  EXPECT_EQ(checked_mul(1ull << 32, (1ull << 32) - 1), UINT64_MAX - ((1ull << 32) - 1));
  EXPECT_THROW(checked_mul(1ull << 32, 1ull << 32), Error);
  EXPECT_EQ(checked_add(UINT64_MAX - 1, 1), UINT64_MAX);
  EXPECT_THROW(checked_add(UINT64_MAX, 1), Error);
}

TEST(AlignUp, RoundsToTheNextMultiple) {
  EXPECT_EQ(align_up(0, 32), 0u);
  EXPECT_EQ(align_up(1, 32), 32u);
  EXPECT_EQ(align_up(32, 32), 32u);
  EXPECT_EQ(align_up(33, 1), 33u);
  EXPECT_THROW(align_up(UINT64_MAX, 32), Error);
  EXPECT_THROW(align_up(5, 3), Error);
}

TEST(ByteReader, TakesWhatThereIsAndNoMore) {
  ByteReader reader(as_byte_span(std::string_view("\x01\x02\x03\x04\x05", 5)));
  EXPECT_EQ(reader.read<std::uint32_t>(), 0x04030201u);
  EXPECT_EQ(reader.offset(), 4u);
  EXPECT_EQ(reader.left(), 1u);
  EXPECT_THROW(reader.read<std::uint16_t>(), Error);
  EXPECT_THROW(reader.take(UINT64_MAX), Error);  // offset + n would wrap
  EXPECT_EQ(reader.offset(), 4u);
  EXPECT_EQ(reader.read<std::uint8_t>(), 5u);
  EXPECT_TRUE(reader.take(0).empty());
}

TEST(LittleEndian, StoresWhatItLoads) {
  std::byte bytes[9]{};
  store_le(bytes + 1, 0x0102030405060708ull);  // unaligned
  EXPECT_EQ(std::to_integer<int>(bytes[1]), 8);
  EXPECT_EQ(load_le<std::uint64_t>(bytes + 1), 0x0102030405060708ull);
}

}  // namespace
}  // namespace pajamas
