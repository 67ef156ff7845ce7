#include <gtest/gtest.h>

#include "io/gguf_split.h"
#include "io/temp.h"

namespace pajamas::io {
namespace {

GgufMetadata metadata() {
  GgufMetadata result;
  result.add("general.architecture", std::string("qwen2"));
  return result;
}

// 128, 256, 32 (padded) and 128 bytes.
const std::vector<GgufSpec> kTensors{{"a", DType::kF32, {32}},
                                     {"b", DType::kF32, {2, 32}},
                                     {"c", DType::kF32, {1}},
                                     {"d", DType::kF32, {32}}};

std::vector<std::size_t> counts(std::uint64_t most) {
  std::vector<std::size_t> result;
  for (const GgufPart& part : lay_out_gguf_parts(metadata(), kTensors, most)) {
    EXPECT_EQ(part.layout.offsets.size(), part.count);
    result.push_back(part.count);
  }
  return result;
}

TEST(GgufParts, AreCutWhereTheNextTensorWouldBeTooMuch) {
  using Counts = std::vector<std::size_t>;
  EXPECT_EQ(counts(0), (Counts{4}));
  EXPECT_EQ(counts(544), (Counts{4}));  // exactly all, the padding of c included
  EXPECT_EQ(counts(543), (Counts{3, 1}));
  EXPECT_EQ(counts(384), (Counts{2, 2}));
  EXPECT_EQ(counts(383), (Counts{1, 2, 1}));
  EXPECT_EQ(counts(1), (Counts{1, 1, 1, 1}));  // larger ones have a file of their own
}

TEST(GgufParts, OneFileIsAPlainOne) {
  const auto parts = lay_out_gguf_parts(metadata(), kTensors, 544);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].layout.header, lay_out_gguf(metadata(), kTensors).header);
}

TEST(GgufParts, OurReaderTakesThemForOneModel) {
  const test::TempFolder folder;
  const auto parts = lay_out_gguf_parts(metadata(), kTensors, 383);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    std::string bytes = parts[i].layout.header;
    bytes.resize(parts[i].layout.file_bytes, static_cast<char>('0' + i));
    folder.write("m" + split_suffix(i, parts.size()), bytes);
  }
  const GgufFile file = GgufFile::open(folder.path() / "m-00001-of-00003.gguf");
  ASSERT_EQ(file.tensors().size(), kTensors.size());
  const std::size_t files[] = {0, 1, 1, 2};
  for (std::size_t i = 0; i < kTensors.size(); ++i) {
    EXPECT_EQ(file.tensors()[i].name, kTensors[i].name);
    EXPECT_EQ(file.tensors()[i].file, files[i]);
  }
  EXPECT_EQ(file.metadata().find_unsigned(kSplitTensors), kTensors.size());
  EXPECT_EQ(file.metadata().find_unsigned(kSplitCount), 3u);
}

}  // namespace
}  // namespace pajamas::io
