#include "io/safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <limits>

#include "io/temp.h"
#include "paths.h"

namespace pajamas::io {
namespace {

using test::expect_error;
using test::TempFolder;

const std::string kData = source_dir() + "/tests/io/data/";

std::string with_length(std::string_view json, std::uint64_t length) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes.append(json);
}

// A file of this header and this many bytes of data.
std::string shard(std::string_view json, std::size_t data) {
  return with_length(json, json.size()).append(data, 'x');
}

void expect_safetensors_refused(ErrorCode code, std::string_view part, std::string_view bytes) {
  const TempFolder folder;
  const auto path = folder.write("model.safetensors", bytes);
  SCOPED_TRACE(part);
  expect_error(code, part, [&] { SafetensorsFile::open(path); });
  expect_error(code, "model.safetensors", [&] { SafetensorsFile::open(path); });
}

TEST(Safetensors, ReadsWhatThePeerWrote) {
  const auto file = SafetensorsFile::open(std::string(kData) + "golden.safetensors");
  ASSERT_EQ(file.entries().size(), 4u);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.metadata().at("n\u00fc"), "x");
  std::uint64_t last = 0;
  for (const SafetensorsEntry& entry : file.entries()) {
    EXPECT_GE(entry.offset, last);
    last = entry.offset;
    if (entry.name != "b") continue;
    EXPECT_EQ(entry.dtype, DType::kF32);
    EXPECT_EQ(entry.shape, (Shape{2, 3}));
    float values[6];
    file.file().read_at(entry.offset, std::as_writable_bytes(std::span(values)));
    for (int i = 0; i < 6; ++i) EXPECT_EQ(values[i], static_cast<float>(i));
  }
}

TEST(Safetensors, AcceptsUnalignedDataEmptyTensorsAndUnknownFields) {
  const TempFolder folder;
  const auto path = folder.write(
      "m.safetensors",
      shard(
          R"({"s":{"dtype":"F32","shape":[],"data_offsets":[3,7]},)"
          R"("u":{"dtype":"U8","shape":[3],"data_offsets":[0,3],"new":{"deep":[[1,{"a":null}]]},"f":1.5},)"
          R"("e":{"dtype":"BF16","shape":[0,5],"data_offsets":[3,3]}}   )",
          7));
  const auto file = SafetensorsFile::open(path);
  ASSERT_EQ(file.entries().size(), 3u);
  EXPECT_EQ(file.entries()[0].name, "u");
  EXPECT_EQ(file.entries()[1].name, "e");
  EXPECT_EQ(file.entries()[2].name, "s");
  EXPECT_EQ(file.entries()[2].offset, file.file().size() - 4);
}

TEST(Safetensors, RefusesImpossibleLengths) {
  expect_safetensors_refused(ErrorCode::kCorruptFile, "7 bytes are no safetensors", "1234567");
  expect_safetensors_refused(ErrorCode::kCorruptFile, "18446744073709551608",
                             with_length("{}", UINT64_MAX - 7));
  expect_safetensors_refused(ErrorCode::kCorruptFile, "states a header of 3 bytes, the file has 10",
                             with_length("{}", 3));
  expect_safetensors_refused(ErrorCode::kCorruptFile, "not a JSON object", shard("", 0));
}

TEST(Safetensors, RefusesAHeaderAboveTheLimit) {
  const TempFolder folder;
  const auto path = folder.write("big.safetensors", with_length("{", 100'000'001));
  std::filesystem::resize_file(path, 200'000'000);  // sparse
  expect_error(ErrorCode::kCorruptFile, "at most 100000000", [&] { SafetensorsFile::open(path); });
}

TEST(Safetensors, RefusesBrokenJson) {
  for (const char* json :
       {"{", "[]", "{}{}", "nonsense", "{\"a\":}", " {}", "\xEF\xBB\xBF{}", "{\"\xff\":1}"}) {
    expect_safetensors_refused(ErrorCode::kCorruptFile, "header", shard(json, 0));
  }
  expect_safetensors_refused(ErrorCode::kCorruptFile, "header",
                             shard(std::string_view("{}\0x", 4), 0));
  expect_safetensors_refused(ErrorCode::kCorruptFile, "header",
                             shard(std::string(1'000'000, '['), 0));
  std::string deep = R"({"a":{"new":)" + std::string(1'000'000, '[');
  expect_safetensors_refused(ErrorCode::kCorruptFile, "header", shard(deep, 0));
}

TEST(Safetensors, RefusesEntriesOfTheWrongForm) {
  const auto refuse = [](std::string_view part, std::string_view entry, std::size_t data = 4) {
    expect_safetensors_refused(ErrorCode::kCorruptFile, part, shard(entry, data));
  };
  refuse("an object", R"({"a":[]})");
  refuse("an object", R"({"a":7})");
  refuse("`dtype` is missing (", R"({"a":{"shape":[4],"data_offsets":[0,4]}})");
  refuse("`shape` is missing", R"({"a":{"dtype":"U8","data_offsets":[0,4]}})");
  refuse("`data_offsets`", R"({"a":{"dtype":"U8","shape":[4]}})");
  refuse("`data_offsets`", R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[4]}})");
  refuse("`data_offsets`", R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,2,4]}})");
  refuse("`shape` appears twice",
         R"({"a":{"dtype":"U8","shape":[4],"shape":[4],"data_offsets":[0,4]}})");
  for (const char* number :
       {"-4", "4.0", "\"4\"", "true", "null", "[4]", "1e3", "99999999999999999999999"}) {
    refuse("`shape`",
           std::string(R"({"a":{"dtype":"U8","shape":[)") + number + R"(],"data_offsets":[0,4]}})");
    refuse("`data_offsets`",
           std::string(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,)") + number + "]}}");
  }
  refuse("a text", R"({"__metadata__":{"a":1}})");
  refuse("appears twice", R"({"__metadata__":{"a":"1","a":"2"}})");
  refuse("appears twice", R"({"__metadata__":{},"__metadata__":{}})");
}

TEST(Safetensors, RefusesWhatContradictsTheFile) {
  const auto entry = [](std::string_view name, std::string_view shape, std::string_view offsets) {
    return std::string("\"") + std::string(name) + R"(":{"dtype":"U8","shape":)" +
           std::string(shape) + R"(,"data_offsets":)" + std::string(offsets) + "}";
  };
  const auto refuse = [](std::string_view part, const std::string& entries, std::size_t data) {
    expect_safetensors_refused(ErrorCode::kCorruptFile, part, shard("{" + entries + "}", data));
  };
  refuse("truncated", entry("a", "[8]", "[0,8]"), 7);
  refuse("1 bytes behind the last tensor", entry("a", "[8]", "[0,8]"), 9);
  refuse("begins at 8 and ends at 0", entry("a", "[8]", "[8,0]"), 8);
  refuse("needs 9 bytes, its data_offsets span 8", entry("a", "[9]", "[0,8]"), 8);
  refuse("overlap", entry("a", "[8]", "[0,8]") + "," + entry("b", "[4]", "[4,8]"), 8);
  refuse("overlap", entry("a", "[8]", "[0,8]") + "," + entry("b", "[8]", "[0,8]"), 8);
  refuse("belong to no tensor", entry("a", "[2]", "[0,2]") + "," + entry("b", "[2]", "[4,6]"), 6);
  refuse("belong to no tensor", entry("a", "[2]", "[2,4]"), 4);
  refuse("the tensor appears twice", entry("a", "[2]", "[0,2]") + "," + entry("a", "[2]", "[2,4]"),
         4);
  refuse("impossible", entry("a", "[4294967296,4294967296]", "[0,0]"), 0);
  refuse("impossible", entry("a", "[1]", "[18446744073709551614,18446744073709551615]"), 0);
  expect_safetensors_refused(ErrorCode::kUnsupported, "`F4`",
                             shard(R"({"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}})", 1));
  expect_safetensors_refused(ErrorCode::kUnsupported, "more than 4 dimensions",
                             shard("{" + entry("a", "[1,1,1,1,1]", "[0,1]") + "}", 1));
}

TEST(Safetensors, NamesWhatIsNoModel) {
  expect_safetensors_refused(ErrorCode::kCorruptFile, "Git LFS",
                             "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n");
  expect_safetensors_refused(ErrorCode::kCorruptFile, "web page", "<!DOCTYPE html><html></html>");
  expect_error(ErrorCode::kNotFound, "no-such", [] { SafetensorsFile::open("/no-such/file"); });
  expect_error(ErrorCode::kUsage, "directory", [] { SafetensorsFile::open("/tmp"); });
}

TEST(Safetensors, LaysOutWhatItReadsBack) {
  const std::vector<SafetensorsSpec> specs{{"z \"quoted\" \u00e9", DType::kU32, {3, 5}},
                                           {"a", DType::kBF16, {7}},
                                           {"scalar", DType::kF32, {}}};
  const auto layout = lay_out_safetensors(specs, {{"format", "mlx"}});
  EXPECT_EQ(layout.header.size() % 64, 0u);
  EXPECT_EQ(layout.offsets[0], layout.header.size());
  const TempFolder folder;
  const auto path = folder.write("m.safetensors", layout.header);
  std::filesystem::resize_file(path, layout.file_bytes);
  const auto file = SafetensorsFile::open(path);
  EXPECT_EQ(file.metadata().at("format"), "mlx");
  ASSERT_EQ(file.entries().size(), specs.size());
  for (std::size_t i = 0; i < specs.size(); ++i) {
    EXPECT_EQ(file.entries()[i].name, specs[i].name);
    EXPECT_EQ(file.entries()[i].dtype, specs[i].dtype);
    EXPECT_EQ(file.entries()[i].shape, specs[i].shape);
    EXPECT_EQ(file.entries()[i].offset, layout.offsets[i]);
  }
}

TEST(Safetensors, LayoutRefusesWhatCannotBeRead) {
  const auto lay_out = [](std::vector<SafetensorsSpec> specs) { lay_out_safetensors(specs, {}); };
  expect_error(ErrorCode::kUnsupported, "Q4_K", [&] { lay_out({{"a", DType::kQ4_K, {256}}}); });
  expect_error(ErrorCode::kUnsupported, "UTF-8", [&] { lay_out({{"\xff", DType::kU8, {1}}}); });
  expect_error(ErrorCode::kUnsupported, "name", [&] {
    lay_out({{"a", DType::kU8, {1}}, {"a", DType::kU8, {1}}});
  });
}

// Seconds of this process's own work, the least of three times.
double seconds_to_open(const TempFolder& folder, int tensors) {
  std::vector<SafetensorsSpec> specs;
  for (int i = 0; i < tensors; ++i) {
    specs.push_back({"model.layers." + std::to_string(i / 400) + ".mlp.experts." +
                         std::to_string(i % 400) + ".down_proj.weight",
                     DType::kBF16,
                     {16, 8}});
  }
  const auto layout = lay_out_safetensors(specs, {});
  const auto path = folder.write("m.safetensors", layout.header);
  std::filesystem::resize_file(path, layout.file_bytes);
  double least = std::numeric_limits<double>::max();
  for (int repeat = 0; repeat < 3; ++repeat) {
    const std::clock_t start = std::clock();
    EXPECT_EQ(SafetensorsFile::open(path).entries().size(), specs.size());
    least = std::min(least, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  return least;
}

// How the work grows, not how long it takes: whatever else runs here. Ten times the tensors are
// some 13 times the work; a search through all of them for each is 100 times the work.
TEST(Safetensors, TwentyThousandTensorsOpenFast) {
  const TempFolder folder;
  const double few = seconds_to_open(folder, 2'000), many = seconds_to_open(folder, 20'000);
  EXPECT_LT(many / few, 40) << few << " s and " << many << " s";
}

}  // namespace
}  // namespace pajamas::io
