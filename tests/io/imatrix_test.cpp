#include "io/imatrix.h"

#include <gtest/gtest.h>

#include <limits>

#include "io/gguf.h"
#include "io/temp.h"

namespace pajamas::io {
namespace {

using test::expect_error;
using test::slurp;
using test::TempFolder;

// A dense matrix and a stack of three experts, of which the last was never seen; not in order.
Imatrix example() {
  Imatrix matrix;
  matrix.datasets = {"a.txt"};
  matrix.chunks = 3;
  matrix.chunk_size = 8;
  matrix.entries = {{"blk.0.ffn_up_exps.weight", 2, {10, 17, 0}, {1, 2, 34, 51, 0, 0}},
                    {"blk.0.attn_q.weight", 4, {24}, {24, 48, 0, 12}}};
  return matrix;
}

void write(const std::filesystem::path& path, const Imatrix& matrix) {
  ImatrixFile(path, matrix, {}).write(matrix);
}

TEST(Imatrix, GgufIsReadAsItWasWritten) {
  const TempFolder folder;
  write(folder.path() / "x.gguf", example());
  const Imatrix read = read_imatrix(folder.path() / "x.gguf");
  Imatrix expected = example();
  std::swap(expected.entries[0], expected.entries[1]);  // by name
  EXPECT_EQ(read.entries, expected.entries);
  EXPECT_EQ(read.datasets, expected.datasets);
  EXPECT_EQ(read.chunks, 3u);
  EXPECT_EQ(read.chunk_size, 8u);
  EXPECT_TRUE(read.counts_rows);
}

// The shapes of llama.cpp: a matrix alone has one extent, a stack two, counts beside columns.
TEST(Imatrix, GgufHasTheFormOfThePeer) {
  const TempFolder folder;
  write(folder.path() / "x.gguf", example());
  const auto file = GgufFile::open(folder.path() / "x.gguf");
  std::vector<std::string> found;
  for (const GgufTensor& tensor : file.tensors()) {
    found.push_back(tensor.name + tensor.shape.to_string());
  }
  EXPECT_EQ(found, (std::vector<std::string>{"blk.0.attn_q.weight.in_sum2[4]",
                                             "blk.0.attn_q.weight.counts[1]",
                                             "blk.0.ffn_up_exps.weight.in_sum2[3, 2]",
                                             "blk.0.ffn_up_exps.weight.counts[3, 1]"}));
  EXPECT_EQ(*file.metadata().find_string("general.type"), "imatrix");
}

// Means times the number of chunks; an expert that saw nothing has ones.
TEST(Imatrix, TheOldFormKeepsMeans) {
  const TempFolder folder;
  write(folder.path() / "x.dat", example());
  const Imatrix read = read_imatrix(folder.path() / "x.dat");
  EXPECT_FALSE(read.counts_rows);
  EXPECT_EQ(read.chunks, 3u);
  EXPECT_EQ(read.datasets, example().datasets);
  ASSERT_EQ(read.entries.size(), 2u);
  EXPECT_EQ(read.entries[0].counts, std::vector<float>{3});
  EXPECT_EQ(read.entries[0].sums, (std::vector<double>{3, 6, 0, 1.5}));
  EXPECT_EQ(read.entries[1].columns, 6u);  // all experts in a row
  const float first = static_cast<float>(0.1 * 3), second = static_cast<float>(0.2 * 3);
  EXPECT_EQ(read.entries[1].sums, (std::vector<double>{first, second, 6, 9, 3, 3}));
}

TEST(Imatrix, EveryCutIsNoticed) {
  const TempFolder folder;
  for (const char* name : {"x.gguf", "x.dat"}) {
    write(folder.path() / name, example());
    const std::string whole = slurp(folder.path() / name);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      // The oldest files end with the entries; GGUF's last tensor is followed by padding.
      const bool dat = name[2] == 'd';
      if (dat && size == whole.size() - 4 - 4 - 5) continue;
      if (!dat && size >= whole.size() - 32 + 12) continue;
      const auto path = folder.write("cut", whole.substr(0, size));
      EXPECT_THROW(read_imatrix(path), Error) << name << " cut at " << size;
    }
  }
}

void expect_matrix_refused(const TempFolder& folder, const Imatrix& matrix, std::string_view what) {
  for (const char* name : {"bad.gguf", "bad.dat"}) {
    folder.write(name, imatrix_bytes(matrix, imatrix_form(name)));
    expect_error(ErrorCode::kCorruptFile, what, [&] { read_imatrix(folder.path() / name); });
  }
}

TEST(Imatrix, NumbersThatCannotBeAreRefused) {
  const TempFolder folder;
  Imatrix matrix = example();
  matrix.entries[1].sums[2] = std::numeric_limits<double>::quiet_NaN();
  expect_matrix_refused(folder, matrix, "blk.0.attn_q.weight");
  matrix.entries[1].sums[2] = std::numeric_limits<double>::infinity();
  expect_matrix_refused(folder, matrix, "a sum is inf");
  matrix.entries[1].sums[2] = -1;
  expect_matrix_refused(folder, matrix, "a sum is -");
}

TEST(Imatrix, SumsWithoutCountsAreRefused) {
  const TempFolder folder;
  std::string bytes = imatrix_bytes(example(), ImatrixForm::kGguf);
  const std::size_t at = bytes.find(".counts");
  bytes.replace(at, 7, ".countz");
  expect_error(ErrorCode::kCorruptFile, "has no .counts",
               [&] { read_imatrix(folder.write("x", bytes)); });
}

TEST(Imatrix, OtherFilesAreNone) {
  const TempFolder folder;
  GgufMetadata metadata;
  metadata.add("general.architecture", std::string("qwen2"));
  const auto path = folder.write("model.gguf", lay_out_gguf(metadata, {}).header);
  expect_error(ErrorCode::kUnsupported, "no importance matrix", [&] { read_imatrix(path); });
  expect_error(ErrorCode::kCorruptFile, "no importance matrix",
               [&] { read_imatrix(folder.write("a.txt", "Some text that is no matrix.")); });
  expect_error(ErrorCode::kNotFound, "absent",
               [&] { read_imatrix(folder.path() / "absent.gguf"); });
  expect_error(ErrorCode::kUsage, "", [&] { read_imatrix(folder.path()); });
}

}  // namespace
}  // namespace pajamas::io
