#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "io/temp.h"

namespace pajamas {
namespace {

using test::expect_error;
using test::TempFolder;

TEST(File, ReadsByPosition) {
  const TempFolder folder;
  File file = File::open(folder.write("f", "0123456789"));
  EXPECT_EQ(file.size(), 10u);
  std::string text(3, ' ');
  file.read_at(7, std::as_writable_bytes(std::span(text)));
  EXPECT_EQ(text, "789");
  file.read_at(10, {});
  File other = File::open(folder.write("g", "ab"));
  file = std::move(other);
  EXPECT_EQ(file.size(), 2u);
  EXPECT_EQ(file.path().filename(), "g");
}

TEST(File, NamesWhatIsMissing) {
  const TempFolder folder;
  const File file = File::open(folder.write("f", "0123456789"));
  std::string text(3, ' ');
  const auto read = [&](std::uint64_t offset) {
    file.read_at(offset, std::as_writable_bytes(std::span(text)));
  };
  expect_error(ErrorCode::kCorruptFile, "ends at byte 10", [&] { read(8); });
  expect_error(ErrorCode::kCorruptFile, "truncated", [&] { read(UINT64_MAX - 1); });
  std::filesystem::resize_file(folder.path() / "f", 4);  // after it was opened
  expect_error(ErrorCode::kCorruptFile, "ends at byte 4", [&] { read(2); });
}

TEST(File, OpensRegularFilesOnly) {
  const TempFolder folder;
  const auto fifo = folder.path() / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  expect_error(ErrorCode::kUsage, "not a regular file", [&] { File::open(fifo); });  // at once
  expect_error(ErrorCode::kUsage, "directory", [&] { File::open(folder.path()); });
  expect_error(ErrorCode::kNotFound, "absent", [&] { File::open(folder.path() / "absent"); });
  expect_error(ErrorCode::kNotFound, "no such file",
               [&] { File::open(folder.write("f", "") / "x"); });
}

TEST(MappedFile, HoldsTheWholeFile) {
  const TempFolder folder;
  const auto mapped = MappedFile::map(folder.write("f", "abc"));
  ASSERT_EQ(mapped.bytes().size(), 3u);
  EXPECT_EQ(mapped.bytes()[2], std::byte{'c'});
  const auto empty = MappedFile::map(folder.write("empty", ""));
  EXPECT_TRUE(empty.bytes().empty());
}

TEST(ReadTextFile, HonoursItsLimit) {
  const TempFolder folder;
  const auto path = folder.write("f", "abc");
  EXPECT_EQ(read_text_file(path, 3), "abc");
  expect_error(ErrorCode::kCorruptFile, "3 bytes, at most 2", [&] { read_text_file(path, 2); });
}

}  // namespace
}  // namespace pajamas
