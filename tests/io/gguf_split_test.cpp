#include <gtest/gtest.h>

#include "io/gguf.h"
#include "io/temp.h"

namespace pajamas::io {
namespace {

using test::expect_error;
using test::TempFolder;

struct PartSpec {
  std::uint16_t number = 0;
  std::uint16_t count = 3;
  std::int32_t tensors_in_all = 3;
  std::string tensor;
  std::uint32_t shared = 7;
};

// Writes model-0000N-of-00003.gguf (or another name) as the peer's splitting does.
void write_part(const TempFolder& folder, const PartSpec& part, std::string name = {}) {
  GgufMetadata metadata;
  if (part.number == 0) metadata.add("general.architecture", std::string("qwen2"));
  metadata.add("shared", part.shared);
  metadata.add("split.no", part.number);
  metadata.add("split.count", part.count);
  metadata.add("split.tensors.count", part.tensors_in_all);
  const std::vector<GgufSpec> tensors{{part.tensor, DType::kF32, {4}}};
  const GgufLayout layout = lay_out_gguf(metadata, tensors);
  std::string bytes = layout.header;
  bytes.resize(layout.file_bytes, static_cast<char>('0' + part.number));
  if (name.empty()) name = "model-0000" + std::to_string(part.number + 1) + "-of-00003.gguf";
  folder.write(name, bytes);
}

class GgufSplit : public testing::Test {
 protected:
  void SetUp() override {
    for (std::uint16_t i = 0; i < 3; ++i) {
      write_part(folder_, {.number = i, .tensor = "t" + std::to_string(i)});
    }
  }
  GgufFile open(int number) const {
    return GgufFile::open(folder_.path() /
                          ("model-0000" + std::to_string(number) + "-of-00003.gguf"));
  }
  void expect_refused(ErrorCode code, std::string_view part) const {
    expect_error(code, part, [&] { open(2); });
  }

  TempFolder folder_;
};

TEST_F(GgufSplit, AnyPartOpensTheWhole) {
  for (int number = 1; number <= 3; ++number) {
    const GgufFile file = open(number);
    ASSERT_EQ(file.files().size(), 3u);
    ASSERT_EQ(file.tensors().size(), 3u);
    EXPECT_EQ(*file.metadata().find_string("general.architecture"), "qwen2");
    for (std::size_t i = 0; i < 3; ++i) {
      const GgufTensor& tensor = file.tensors()[i];
      EXPECT_EQ(tensor.name, "t" + std::to_string(i));
      char byte = 0;
      file.files()[tensor.file].read_at(tensor.offset, std::as_writable_bytes(std::span(&byte, 1)));
      EXPECT_EQ(byte, static_cast<char>('0' + i));
    }
  }
}

TEST_F(GgufSplit, OpensFromItsOwnFolder) {
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder_.path());
  EXPECT_EQ(GgufFile::open("model-00002-of-00003.gguf").files().size(), 3u);
  std::filesystem::current_path(before);
}

TEST_F(GgufSplit, AMissingPartIsNamed) {
  std::filesystem::remove(folder_.path() / "model-00003-of-00003.gguf");
  expect_refused(ErrorCode::kNotFound, "part 3 of 3 is missing");
  expect_refused(ErrorCode::kNotFound, "model-00003-of-00003.gguf");
}

TEST_F(GgufSplit, ARenamedPartIsNamed) {
  write_part(folder_, {.number = 1, .tensor = "t1"}, "second.gguf");
  expect_error(ErrorCode::kNotFound, "-00002-of-00003.gguf",
               [&] { GgufFile::open(folder_.path() / "second.gguf"); });
}

TEST_F(GgufSplit, SwappedPartsAreRefused) {
  write_part(folder_, {.number = 1, .tensor = "t2"}, "model-00003-of-00003.gguf");
  expect_refused(ErrorCode::kCorruptFile, "is not part 3 inside");
}

TEST_F(GgufSplit, RepeatedTensorsAreRefused) {
  write_part(folder_, {.number = 2, .tensor = "t0"});
  expect_refused(ErrorCode::kCorruptFile, "the tensor appears twice (");
  expect_refused(ErrorCode::kCorruptFile, "model-00003-of-00003.gguf: t0");
}

TEST_F(GgufSplit, AWrongTensorCountIsRefused) {
  for (std::uint16_t i = 0; i < 3; ++i) {
    write_part(folder_, {.number = i, .tensors_in_all = 4, .tensor = "t" + std::to_string(i)});
  }
  expect_refused(ErrorCode::kCorruptFile, "states 4 tensors, the 3 parts hold 3");
}

TEST_F(GgufSplit, ContradictionsAreRefused) {
  write_part(folder_, {.number = 2, .tensor = "t2", .shared = 8});
  expect_refused(ErrorCode::kCorruptFile, "contradicts the first part");
  expect_refused(ErrorCode::kCorruptFile, "shared");
  write_part(folder_, {.number = 2, .count = 4, .tensor = "t2"});
  expect_refused(ErrorCode::kCorruptFile, "split.count");
}

TEST_F(GgufSplit, AnImpossibleNumberIsRefused) {
  write_part(folder_, {.number = 9, .tensor = "t1"}, "model-00002-of-00003.gguf");
  expect_refused(ErrorCode::kCorruptFile, "split.no");
}

}  // namespace
}  // namespace pajamas::io
