#include "quantize/pieces.h"

#include <gtest/gtest.h>

#include <future>
#include <set>
#include <vector>

namespace pajamas::quantize {
namespace {

model::StoredTensor bf16_tensor(std::uint64_t rows, std::uint64_t cols) {
  model::PlaneLocation at{0, 0, rows * cols * 2, cols * 2};
  return model::contiguous_tensor({}, "t", {.dtype = DType::kBF16}, {rows, cols}, {&at, 1});
}

std::vector<Piece> pieces_in_turn(const model::StoredTensor& tensor, std::uint64_t rows) {
  std::vector<Piece> pieces;
  for (std::uint64_t first = 0; first < tensor.shape.rows(); first += rows) {
    pieces.push_back({&tensor, first, rows});
  }
  return pieces;
}

// 64 pieces of 1 MiB: what comes within 32 MiB is told of before it is handed out, each once.
TEST(PieceQueue, TellsOfWhatComesInTime) {
  const model::StoredTensor tensor = bf16_tensor(64 * 128, 4096);
  const std::vector<Piece> pieces = pieces_in_turn(tensor, 128);
  std::vector<std::uint64_t> told;
  PieceQueue queue(pieces, [&](const Piece& piece) { told.push_back(piece.first / 128); });
  std::set<std::uint64_t> handed;
  while (const Piece* piece = queue.next()) {
    const std::uint64_t number = piece->first / 128;
    EXPECT_EQ(number, handed.size());
    handed.insert(number);
    ASSERT_FALSE(told.empty());
    EXPECT_EQ(told.back(), std::min<std::uint64_t>(63, number + 32));
  }
  EXPECT_EQ(handed.size(), 64u);
  ASSERT_EQ(told.size(), 63u);  // the first was asked for at once
  for (std::uint64_t i = 0; i < 63; ++i) EXPECT_EQ(told[i], i + 1);
}

// A disk that makes one worker wait does not make the others wait.
TEST(PieceQueue, HandsOutWhileSomebodyWaitsForTheDisk) {
  const model::StoredTensor tensor = bf16_tensor(8, 64);
  const std::vector<Piece> pieces = pieces_in_turn(tensor, 1);
  PieceQueue* all = nullptr;
  std::future<const Piece*> other;
  bool first = true;
  PieceQueue queue(pieces, [&](const Piece&) {
    if (!std::exchange(first, false)) return;
    other = std::async(std::launch::async, [&] { return all->next(); });
    EXPECT_EQ(other.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  });
  all = &queue;
  EXPECT_EQ(queue.next(), &pieces[0]);
  ASSERT_TRUE(other.valid());
  EXPECT_EQ(other.get(), &pieces[1]);
}

TEST(PieceQueue, HandsOutNothingOnceClosed) {
  const model::StoredTensor tensor = bf16_tensor(8, 64);
  const std::vector<Piece> pieces = pieces_in_turn(tensor, 1);
  PieceQueue queue(pieces, [](const Piece&) {});
  EXPECT_NE(queue.next(), nullptr);
  queue.close();
  EXPECT_EQ(queue.next(), nullptr);
}

// One read of an expert that is stored by columns, where its usual pieces would be 12.
TEST(Pieces, AreWholeTransposedExperts) {
  model::StoredTensor tensor = bf16_tensor(4 * 2880, 2880);
  EXPECT_EQ(piece_weights(tensor), 182u * 2880);
  EXPECT_EQ(piece_weights(tensor), piece_weights(2880));
  for (model::PlaneLocation& plane : tensor.parts[0]) {
    plane.row_step = 2;
    plane.col_step = std::uint64_t{2880} * 2;
  }
  tensor.parts.resize(4, tensor.parts[0]);
  EXPECT_EQ(piece_weights(tensor), 2880u * 2880);
  tensor.parts.resize(1);
  EXPECT_EQ(piece_weights(tensor), (16u << 20) / 2880 * 2880);  // too large as a whole
}

}  // namespace
}  // namespace pajamas::quantize
