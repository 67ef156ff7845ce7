#include "io/gguf.h"

#include <gtest/gtest.h>

#include <cstring>

#include "io/temp.h"
#include "paths.h"

namespace pajamas::io {
namespace {

using test::expect_error;
using test::slurp;
using test::TempFolder;

const std::string kGolden = source_dir() + "/tests/io/data/golden.gguf";

// What data/make_golden.py tells the peer to write.
GgufMetadata golden_metadata() {
  GgufMetadata metadata;
  metadata.add("general.architecture", std::string("qwen2"));
  metadata.add("t.u8", std::uint8_t{200});
  metadata.add("t.i8", std::int8_t{-5});
  metadata.add("t.u16", std::uint16_t{60000});
  metadata.add("t.i16", std::int16_t{-30000});
  metadata.add("t.u32", std::uint32_t{4000000000});
  metadata.add("t.i32", std::int32_t{-7});
  metadata.add("t.u64", std::uint64_t{1} << 60);
  metadata.add("t.i64", -(std::int64_t{1} << 60));
  metadata.add("t.f32", 1e-6f);
  metadata.add("t.f64", 0.1);
  metadata.add("t.true", true);
  metadata.add("t.false", false);
  metadata.add("t.text", std::string("h\u00e9llo \U0001f999"));
  metadata.add("a.text", GgufArray(std::vector<std::string>{"a b", "\u0120x", "", "\u4e2d"}));
  metadata.add("a.i32", GgufArray(std::vector<std::int32_t>{1, -2, 3}));
  metadata.add("a.f32", GgufArray(std::vector<float>{0.5f, -1.5f}));
  metadata.add("a.bool", GgufArray(std::vector<bool>{true, false, true}));
  metadata.add("a.u8", GgufArray(std::vector<std::uint8_t>{1, 2, 255}));
  metadata.add("a.u64", GgufArray(std::vector<std::uint64_t>{std::uint64_t{1} << 40}));
  return metadata;
}

const std::vector<GgufSpec> kGoldenTensors{{"token_embd.weight", DType::kF32, {3, 5}},
                                           {"blk.0.ffn_up.weight", DType::kQ8_0, {3, 2, 64}},
                                           {"output_norm.weight", DType::kF16, {7}}};

TEST(Gguf, LaysOutTheBytesOfThePeer) {
  const auto layout = lay_out_gguf(golden_metadata(), kGoldenTensors);
  const std::string golden = slurp(kGolden);
  EXPECT_EQ(layout.header, golden.substr(0, layout.header.size()));
  EXPECT_EQ(layout.file_bytes, golden.size());
  EXPECT_EQ(layout.offsets[0], layout.header.size());
  EXPECT_EQ(layout.offsets[1], layout.header.size() + 64);
}

TEST(Gguf, ReadsWhatThePeerWrote) {
  const auto file = GgufFile::open(kGolden);
  const GgufMetadata expected = golden_metadata();
  ASSERT_EQ(file.metadata().pairs().size(), expected.pairs().size());
  for (std::size_t i = 0; i < expected.pairs().size(); ++i) {
    EXPECT_EQ(file.metadata().pairs()[i].key, expected.pairs()[i].key);
    EXPECT_TRUE(file.metadata().pairs()[i].value == expected.pairs()[i].value)
        << expected.pairs()[i].key;
  }
  ASSERT_EQ(file.tensors().size(), kGoldenTensors.size());
  for (std::size_t i = 0; i < kGoldenTensors.size(); ++i) {
    EXPECT_EQ(file.tensors()[i].name, kGoldenTensors[i].name);
    EXPECT_EQ(file.tensors()[i].dtype, kGoldenTensors[i].dtype);
    EXPECT_EQ(file.tensors()[i].shape, kGoldenTensors[i].shape);
  }
  float last = 0;
  file.files()[0].read_at(file.tensors()[0].offset + 14 * sizeof(float),
                          std::as_writable_bytes(std::span(&last, 1)));
  EXPECT_EQ(last, 14.0f);
  EXPECT_EQ(file.tensors()[1].bytes, 3u * 2 * 2 * 34);
  EXPECT_TRUE(looks_like_gguf(kGolden));
  EXPECT_FALSE(looks_like_gguf(source_dir() + "/CMakeLists.txt"));
  EXPECT_FALSE(looks_like_gguf(source_dir()));
}

TEST(Gguf, LookUpsCheckTypes) {
  const GgufMetadata m = golden_metadata();
  EXPECT_EQ(m.find_unsigned("t.u8"), 200u);
  EXPECT_EQ(m.find_unsigned("t.u64"), std::uint64_t{1} << 60);
  EXPECT_EQ(m.find_unsigned("absent"), std::nullopt);
  EXPECT_EQ(m.find_number("t.i8"), -5.0);
  EXPECT_EQ(m.find_bool("t.true"), true);
  EXPECT_EQ(*m.find_string("general.architecture"), "qwen2");
  EXPECT_EQ(m.find_strings("a.text")->size(), 4u);
  EXPECT_EQ(m.find_integers("a.u8"), (std::vector<std::int32_t>{1, 2, 255}));
  expect_error(ErrorCode::kCorruptFile, "below zero (t.i8)", [&] { m.find_unsigned("t.i8"); });
  expect_error(ErrorCode::kCorruptFile, "is bool where an integer",
               [&] { m.find_unsigned("t.true"); });
  expect_error(ErrorCode::kCorruptFile, "is f32", [&] { m.find_unsigned("t.f32"); });
  expect_error(ErrorCode::kCorruptFile, "is u8", [&] { m.find_bool("t.u8"); });
  expect_error(ErrorCode::kCorruptFile, "array of i32 where string",
               [&] { m.find_string("a.i32"); });
  expect_error(ErrorCode::kCorruptFile, "array of string", [&] { m.find_strings("a.i32"); });
  expect_error(ErrorCode::kCorruptFile, "array of f32", [&] { m.find_integers("a.f32"); });
  expect_error(ErrorCode::kCorruptFile, "beyond 32 bits", [&] { m.find_integers("a.u64"); });
}

// Bytes of a GGUF file, piece by piece, right or wrong.
class Builder {
 public:
  Builder(std::uint32_t version, std::uint64_t tensors, std::uint64_t pairs) {
    bytes_ = "GGUF";
    number(version).number(tensors).number(pairs);
  }
  template <class T>
  Builder& number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }
  Builder& text(std::string_view value) {
    number(std::uint64_t{value.size()});
    bytes_ += value;
    return *this;
  }
  Builder& tensor(std::string_view name, std::vector<std::uint64_t> dims, std::uint32_t type,
                  std::uint64_t offset) {
    text(name).number(static_cast<std::uint32_t>(dims.size()));
    for (const std::uint64_t dim : dims) number(dim);
    return number(type).number(offset);
  }
  Builder& pad(std::size_t data) {
    bytes_.resize((bytes_.size() + 31) / 32 * 32 + data);
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

Builder one_tensor(std::vector<std::uint64_t> dims, std::uint32_t type, std::uint64_t offset = 0) {
  return Builder(3, 1, 0).tensor("w", std::move(dims), type, offset);
}

void expect_refused(ErrorCode code, std::string_view part, std::string_view bytes) {
  const TempFolder folder;
  const auto path = folder.write("model.gguf", bytes);
  SCOPED_TRACE(part);
  expect_error(code, part, [&] { GgufFile::open(path); });
  expect_error(code, "model.gguf", [&] { GgufFile::open(path); });
}

std::string pair_of(std::uint32_t type, std::string_view value) {
  return Builder(3, 0, 1).text("key").number(type).bytes() + std::string(value);
}

TEST(Gguf, ReadsVersion2AndAMissingLastPadding) {
  const TempFolder folder;
  const auto path = folder.write(
      "m.gguf", Builder(2, 1, 0).tensor("w", {5}, 0, 0).pad(5 * sizeof(float)).bytes());
  EXPECT_EQ(GgufFile::open(path).tensors()[0].bytes, 20u);
}

TEST(Gguf, RefusesOtherVersionsAndFiles) {
  expect_refused(ErrorCode::kUnsupported, "version 1", Builder(1, 0, 0).bytes());
  expect_refused(ErrorCode::kUnsupported, "version 4", Builder(4, 0, 0).bytes());
  expect_refused(ErrorCode::kCorruptFile, "version 0", Builder(0, 0, 0).bytes());
  expect_refused(ErrorCode::kUnsupported, "big-endian", Builder(0x03000000, 0, 0).bytes());
  expect_refused(ErrorCode::kCorruptFile, "not a GGUF file", "hello, I am no model");
  expect_refused(ErrorCode::kCorruptFile, "not a GGUF file", "");
  expect_refused(ErrorCode::kUnsupported, "older than GGUF", "tjgg0000");
  expect_refused(ErrorCode::kCorruptFile, "Git LFS",
                 "version https://git-lfs.github.com/spec/v1\n");
}

TEST(Gguf, EveryTruncationOfARealFileIsRefused) {
  const TempFolder folder;
  const std::string golden = slurp(kGolden);
  const auto last = GgufFile::open(kGolden).tensors().back();
  for (std::size_t size = 0; size < last.offset + last.bytes; ++size) {
    const auto path = folder.write("cut.gguf", std::string_view(golden).substr(0, size));
    expect_error(ErrorCode::kCorruptFile, "cut.gguf", [&] { GgufFile::open(path); });
  }
}

TEST(Gguf, RefusesCountsBeyondTheFile) {
  expect_refused(ErrorCode::kCorruptFile, "announces", Builder(3, 0, UINT64_MAX).bytes());
  expect_refused(ErrorCode::kCorruptFile, "announces", Builder(3, UINT64_MAX, 0).bytes());
  expect_refused(ErrorCode::kCorruptFile, "announced", Builder(3, 1000, 0).bytes());
  const auto array = [](std::uint32_t type, std::uint64_t count) {
    return Builder(3, 0, 1).text("key").number(9u).number(type).number(count).bytes() +
           std::string(1000, '\0');
  };
  expect_refused(ErrorCode::kCorruptFile, "1073741824 x 8 bytes", array(8, 1u << 30));
  expect_refused(ErrorCode::kCorruptFile, "x 8 bytes", array(12, UINT64_MAX));
  expect_refused(ErrorCode::kCorruptFile, "x 1 bytes", array(7, UINT64_MAX));
  expect_refused(ErrorCode::kCorruptFile, "(", pair_of(8, std::string(8, '\xff')));
}

TEST(Gguf, ASparseFileCannotFillTheMemory) {
  const TempFolder folder;
  const auto path = folder.write(
      "m.gguf",
      Builder(3, 0, 1).text("k").number(9u).number(8u).number(std::uint64_t{1} << 24).bytes());
  std::filesystem::resize_file(path, std::uint64_t{1} << 36);
  expect_error(ErrorCode::kUnsupported, "(", [&] { GgufFile::open(path); });
  folder.write(
      "m.gguf",
      Builder(3, 0, 1).text("k").number(9u).number(0u).number(std::uint64_t{1} << 30).bytes());
  std::filesystem::resize_file(path, std::uint64_t{1} << 36);
  expect_error(ErrorCode::kUnsupported, "header of more than", [&] { GgufFile::open(path); });
}

TEST(Gguf, RefusesBrokenMetadata) {
  const auto corrupt = [](std::string_view part, const std::string& bytes) {
    expect_refused(ErrorCode::kCorruptFile, part, bytes);
  };
  corrupt("value type 13 (", pair_of(13, std::string(16, '\0')));
  corrupt("neither true", pair_of(7, "\2"));
  expect_refused(ErrorCode::kUnsupported, "array of arrays",
                 pair_of(9, std::string("\x09\0\0\0\1\0\0\0\0\0\0\0", 12) + std::string(32, '\0')));
  corrupt("key is empty", Builder(3, 0, 1).text("").number(0u).number(std::uint16_t{1}).bytes());
  corrupt("appears twice (",
          Builder(3, 0, 2).text("k").number(4u).number(1u).text("k").number(4u).number(1u).bytes());
  corrupt("at most 65535",
          Builder(3, 0, 1).text(std::string(70000, 'k')).number(4u).number(1u).bytes());
  const auto alignment = [](std::uint32_t type, auto value) {
    return Builder(3, 0, 1).text("general.alignment").number(type).number(value).bytes();
  };
  corrupt("general.alignment", alignment(4, 0u));
  corrupt("general.alignment", alignment(4, 48u));
  corrupt("general.alignment", alignment(10, std::uint64_t{32}));
}

TEST(Gguf, RefusesBrokenTensors) {
  const auto corrupt = [](std::string_view part, Builder builder) {
    expect_refused(ErrorCode::kCorruptFile, part, builder.pad(4096).bytes());
  };
  corrupt("5 dimensions", one_tensor({1, 1, 1, 1, 1}, 0));
  corrupt("zero", one_tensor({4, 0}, 0));
  corrupt("impossible", one_tensor({std::uint64_t{1} << 32, std::uint64_t{1} << 32}, 0));
  corrupt("impossible", one_tensor({std::uint64_t{1} << 62}, 0));
  corrupt("truncated", one_tensor({std::uint64_t{1} << 61}, 0));
  corrupt("no multiple of Q4_K's 256", one_tensor({128}, 12));
  corrupt("begin at 32, 0 was expected", one_tensor({4}, 0, 32));
  corrupt("begin at 0, 32 was expected",
          Builder(3, 2, 0).tensor("a", {4}, 0, 0).tensor("b", {4}, 0, 0));
  corrupt("begin at 64, 32 was expected",
          Builder(3, 2, 0).tensor("a", {4}, 0, 0).tensor("b", {4}, 0, 64));
  corrupt("twice", Builder(3, 2, 0).tensor("a", {4}, 0, 0).tensor("a", {4}, 0, 32));
  corrupt("at most 63", Builder(3, 1, 0).tensor(std::string(64, 'n'), {4}, 0, 0));
  expect_refused(ErrorCode::kUnsupported, "given up", one_tensor({32}, 4).pad(64).bytes());
  expect_refused(ErrorCode::kUnsupported, "unknown tensor type 99",
                 one_tensor({32}, 99).pad(64).bytes());
  expect_refused(ErrorCode::kCorruptFile, "truncated: 79 bytes, its header describes 80",
                 one_tensor({4}, 0).pad(15).bytes());
}

TEST(Gguf, NamesOfAnyBytesAreEscaped) {
  expect_refused(ErrorCode::kCorruptFile, "\\xff\\x0a",
                 Builder(3, 1, 0).tensor("\xff\n", {4}, 0, 7).pad(64).bytes());
  const TempFolder folder;
  const auto path = folder.write("m.gguf", pair_of(8, std::string("\1\0\0\0\0\0\0\0\xff", 9)));
  EXPECT_EQ(*GgufFile::open(path).metadata().find_string("key"), "\xff");
}

TEST(Gguf, LayoutHonoursAlignmentAndRefusesBadTensors) {
  GgufMetadata metadata;
  metadata.add("general.alignment", std::uint32_t{4096});
  const auto layout = lay_out_gguf(
      metadata, std::vector<GgufSpec>{{"a", DType::kF32, {3}}, {"b", DType::kF32, {1}}}, 4096);
  EXPECT_EQ(layout.offsets, (std::vector<std::uint64_t>{4096, 8192}));
  EXPECT_EQ(layout.file_bytes, 12288u);
  const auto lay_out = [](std::vector<GgufSpec> specs) { lay_out_gguf({}, specs); };
  expect_error(ErrorCode::kUnsupported, "64 bytes", [&] {
    lay_out({{std::string(64, 'n'), DType::kF32, {3}}});
  });
  expect_error(ErrorCode::kUnsupported, "U32", [&] { lay_out({{"a", DType::kU32, {3}}}); });
  expect_error(ErrorCode::kUnsupported, "multiple", [&] { lay_out({{"a", DType::kQ8_0, {33}}}); });
  EXPECT_NO_THROW(lay_out({{std::string(63, 'n'), DType::kF32, {3}}}));
}

}  // namespace
}  // namespace pajamas::io
