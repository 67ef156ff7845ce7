#include "quantize/pieces.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <future>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "paths.h"

namespace pajamas::quantize {
namespace {

model::StoredTensor bf16_tensor(std::uint64_t rows, std::uint64_t cols) {
  model::PlaneLocation at{0, 0, rows * cols * 2, cols * 2};
  return model::contiguous_tensor({}, "t", {.dtype = DType::kBF16}, {rows, cols}, {&at, 1});
}

std::vector<Piece> pieces_in_turn(const model::StoredTensor& tensor, std::uint64_t rows) {
  std::vector<Piece> pieces;
  for (std::uint64_t first = 0; first < tensor.shape.rows(); first += rows) {
    pieces.push_back({&tensor, first, rows, 0});
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

// One read of an expert that is stored by columns, where its usual pieces would be 16.
TEST(Pieces, AreWholeTransposedExperts) {
  model::StoredTensor tensor = bf16_tensor(4 * 2880, 2880);
  EXPECT_EQ(piece_rows(tensor, 1), 182u);
  EXPECT_EQ(piece_rows(2880, 1), 182u);
  for (model::PlaneLocation& plane : tensor.parts[0]) {
    plane.row_step = 2;
    plane.col_step = std::uint64_t{2880} * 2;
  }
  tensor.parts.resize(4, tensor.parts[0]);
  EXPECT_EQ(piece_rows(tensor, 1), 2880u);
  tensor.parts.resize(1);
  EXPECT_EQ(piece_rows(tensor, 1), (16u << 20) / 2880);  // too large as a whole
}

TEST(Pieces, HaveWholeGroupsOfRowsThatShareAScale) {
  EXPECT_EQ(piece_rows(1024, 1), 512u);
  EXPECT_EQ(piece_rows(1000, 128), 512u);
  EXPECT_EQ(piece_rows(7168, 128), 128u);  // 73 without
  EXPECT_EQ(piece_rows(std::uint64_t{1} << 40, 1), 1u);
}

class Cut : public testing::Test {
 protected:
  // What is cut of a model that `plan`, without outputs, reads.
  static Work work_of(const model::Checkpoint& checkpoint, const Plan& plan = {}) {
    return cut(plan, checkpoint);
  }
  static model::Checkpoint open(const char* name) {
    return model::Checkpoint::open(std::filesystem::path(source_dir()) / "models" / name);
  }
};

// Every row once, in pieces that lie inside their matrix; experts apart.
TEST_F(Cut, CoversEveryRowOnce) {
  for (const char* name : {"tiny-qwen2", "tiny-qwen3-moe", "tiny-gpt-oss"}) {
    const model::Checkpoint checkpoint = open(name);
    const Work work = work_of(checkpoint);
    std::map<const model::StoredTensor*, std::vector<int>> covered;
    std::vector<std::size_t> pieces(work.matrices.size());
    for (const Piece& piece : work.pieces) {
      const Matrix& matrix = work.matrices[piece.matrix];
      ASSERT_EQ(matrix.tensor, piece.tensor);
      EXPECT_GE(piece.first, matrix.first);
      EXPECT_LE(piece.first + piece.rows, matrix.first + matrix.rows);
      EXPECT_EQ(matrix.expert >= 0, piece.tensor->shape.rank() == 3);
      if (matrix.expert >= 0) {
        EXPECT_EQ(matrix.first, static_cast<std::uint64_t>(matrix.expert) * matrix.rows);
      }
      ++pieces[piece.matrix];
      auto& rows = covered[piece.tensor];
      rows.resize(piece.tensor->shape.rows());
      for (std::uint64_t r = 0; r < piece.rows; ++r) ++rows[piece.first + r];
    }
    EXPECT_EQ(covered.size(), checkpoint.tensors().size());
    for (const auto& [tensor, rows] : covered) {
      EXPECT_TRUE(std::ranges::all_of(rows, [](int n) { return n == 1; })) << tensor->name;
    }
    for (std::size_t i = 0; i < pieces.size(); ++i) EXPECT_EQ(pieces[i], work.matrices[i].pieces);
  }
}

TEST_F(Cut, GoesFromTheEmbeddingThroughTheLayersToTheOutput) {
  const model::Checkpoint checkpoint = open("tiny-gpt-oss");
  const Work work = work_of(checkpoint);
  const int layers = static_cast<int>(checkpoint.config().layers);
  ASSERT_EQ(work.layers.size(), checkpoint.config().layers + 2);
  std::size_t next = 0;
  for (int i = 0; i < layers + 2; ++i) {
    const Work::Layer& layer = work.layers[static_cast<std::size_t>(i)];
    EXPECT_EQ(layer.number, i - 1);
    EXPECT_EQ(layer.first, next);
    next += layer.count;
    for (const Piece& piece : work.of(layer)) {
      const model::TensorKey key = piece.tensor->key;
      using model::Role;
      if (i == 0) {
        EXPECT_EQ(key.role, Role::kTokenEmbedding);
      } else if (i == layers + 1) {
        EXPECT_TRUE(key.role == Role::kOutput || key.role == Role::kOutputNorm);
      } else {
        EXPECT_EQ(key.layer, i - 1);
      }
    }
  }
  EXPECT_EQ(next, work.pieces.size());
}

}  // namespace
}  // namespace pajamas::quantize
