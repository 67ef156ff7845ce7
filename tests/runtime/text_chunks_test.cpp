#include "runtime/text_chunks.h"

#include <gtest/gtest.h>

namespace pajamas::runtime {
namespace {

TEST(Chunks, AreWholeAndBeginWithBos) {
  const std::vector<std::int32_t> ids{1, 2, 3, 4, 5, 6, 7};
  EXPECT_EQ(cut_chunks(ids, 3, std::nullopt), (std::vector<Chunk>{{1, 2, 3}, {4, 5, 6}}));
  EXPECT_EQ(cut_chunks(ids, 3, 9), (std::vector<Chunk>{{9, 2, 3}, {9, 5, 6}}));
  EXPECT_TRUE(cut_chunks(ids, 8, 9).empty());
}

TEST(Chunks, FillBatchesInOrder) {
  const std::vector<Chunk> chunks{{1, 2, 3}, {4, 5, 6}};
  const auto batches = batches_of(chunks, 4);
  ASSERT_EQ(batches.size(), 2u);
  ASSERT_EQ(batches[0].size(), 4u);
  EXPECT_EQ(batches[0][3].session, 1u);
  EXPECT_EQ(batches[0][3].position, 0u);
  EXPECT_EQ(batches[0][3].token, 4);
  EXPECT_EQ(batches[1][1].position, 2u);
  EXPECT_EQ(batches[1][1].token, 6);
}

}  // namespace
}  // namespace pajamas::runtime
