#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <thread>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/cached_ranges.h"
#include "base/parallel.h"
#include "io/temp.h"
#include "paths.h"

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

// 3 MiB and a bit, so that the last block is incomplete, every 8 bytes telling where they are.
std::string numbered_bytes() {
  std::string text((3 << 20) + 1001, ' ');
  for (std::uint64_t i = 0; i + 8 <= text.size(); i += 8) std::memcpy(&text[i], &i, 8);
  return text;
}

// Drops a file's pages from the cache.
void uncache(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY);
  ASSERT_EQ(::fsync(fd), 0);
  ASSERT_EQ(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
  ::close(fd);
}

TEST(File, ReadsOncePastThePageCache) {
  for (const std::string& where :
       {binary_dir(), std::string("/dev/shm")}) {  // the latter refuses O_DIRECT
    if (!std::filesystem::is_directory(where)) continue;
    const auto path = std::filesystem::path(where) / fmt::format("read-once-{}", ::getpid());
    const std::string text = numbered_bytes();
    std::ofstream(path, std::ios::binary) << text;
    BlockBuffer buffer;
    for (const bool cached : {true, false}) {
      for (const auto& [offset, size] :
           std::vector<std::pair<std::uint64_t, std::uint64_t>>{{0, text.size()},
                                                                {0, 1},
                                                                {4096, 8192},
                                                                {4095, 2},
                                                                {100, 1 << 20},
                                                                {5000, 0},
                                                                {text.size() - 1500, 1500},
                                                                {text.size() - 1, 1},
                                                                {text.size(), 0}}) {
        if (!cached) uncache(path);
        const File file = File::open(path);  // which looks for cached pages once
        const auto got = file.read_once(offset, size, buffer);
        EXPECT_EQ(as_text(got) == text.substr(offset, size), true) << offset << " " << size;
      }
    }
    const File file = File::open(path);
    expect_error(ErrorCode::kCorruptFile, "truncated",
                 [&] { file.read_once(text.size() - 1, 2, buffer); });
    std::filesystem::resize_file(path, 1 << 20);  // after it was opened
    for (const std::uint64_t offset : {std::uint64_t{1 << 20}, std::uint64_t{(1 << 20) - 5}}) {
      expect_error(ErrorCode::kCorruptFile, "ends at byte 1048576",
                   [&] { file.read_once(offset, 4096, buffer); });
    }
    std::filesystem::remove(path);
  }
}

CachedRanges cached_ranges_of(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY);
  const auto found = CachedRanges::of(fd, std::filesystem::file_size(path));
  ::close(fd);
  return found;
}

// What was cached when the first piece was read counts for all of them: pages that went since come
// back into the cache, where a look at each piece would read past it.
TEST(File, LooksForCachedPagesOnce) {
  const auto path = std::filesystem::path(binary_dir()) / fmt::format("once-{}", ::getpid());
  const std::string text = numbered_bytes();
  std::ofstream(path, std::ios::binary) << text;
  if (!cached_ranges_of(path).has(0, text.size())) GTEST_SKIP() << "files are not cached here";
  const File file = File::open(path);
  BlockBuffer buffer;
  EXPECT_EQ(as_text(file.read_once(0, 10, buffer)), text.substr(0, 10));
  uncache(path);
  EXPECT_TRUE(as_text(file.read_once(0, text.size(), buffer)) == text);
  EXPECT_TRUE(cached_ranges_of(path).has(0, text.size()));
  std::filesystem::remove(path);
}

// The second MiB of three is read after the cache was emptied.
TEST(CachedRanges, TellWhatThePageCacheHas) {
  const auto path = std::filesystem::path(binary_dir()) / fmt::format("ranges-{}", ::getpid());
  const std::string text = numbered_bytes();
  std::ofstream(path, std::ios::binary) << text;
  constexpr std::uint64_t kMiB = 1 << 20;
  const int fd = ::open(path.c_str(), O_RDONLY);
  ASSERT_EQ(::posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), 0);  // no reading ahead
  const auto by_pages = [&] { return CachedRanges::by_pages(fd, text.size()); };
  const auto by_samples = [&] { return CachedRanges::by_samples(fd, text.size()); };
  if (!by_pages().has(0, text.size())) GTEST_SKIP() << "files are not cached here";
  EXPECT_TRUE(by_samples().has(0, text.size()));
  EXPECT_FALSE(by_pages().has(text.size() / kMiB * kMiB, 2 * kMiB));  // beyond its end
  uncache(path);
  if (by_pages().has(0, 1)) GTEST_SKIP() << "the system keeps its cache";
  EXPECT_FALSE(by_samples().has(0, 1));
  std::string read(kMiB, ' ');
  ASSERT_EQ(::pread(fd, read.data(), kMiB, kMiB), static_cast<ssize_t>(kMiB));
  const CachedRanges second = by_pages();
  EXPECT_FALSE(second.has(kMiB - 1, 2));
  EXPECT_TRUE(second.has(kMiB, kMiB));
  EXPECT_TRUE(second.has(kMiB + 100, 1000));
  EXPECT_FALSE(second.has(kMiB + 100, kMiB));
  EXPECT_FALSE(second.has(2 * kMiB, 1));
  EXPECT_TRUE(second.has(0, 0));
  EXPECT_FALSE(by_samples().has(kMiB, kMiB));
  ::close(fd);
  std::filesystem::remove(path);
}

TEST(MappedFile, HoldsTheWholeFile) {
  const TempFolder folder;
  const auto mapped = MappedFile::map(File::open(folder.write("f", "abc")));
  ASSERT_EQ(mapped.bytes().size(), 3u);
  EXPECT_EQ(mapped.bytes()[2], std::byte{'c'});
  EXPECT_TRUE(mapped.is_cached(0, 3));  // it was just written
  mapped.read_in(1, 2);
  const auto empty = MappedFile::map(File::open(folder.write("empty", "")));
  EXPECT_TRUE(empty.bytes().empty());
  EXPECT_TRUE(empty.is_cached(0, 0));
}

// Headers and weights come from one file, also where another takes its name in between.
TEST(MappedFile, IsOfTheFileThatWasOpened) {
  const TempFolder folder;
  const auto path = folder.write("f", "old");
  const File file = File::open(path);
  std::filesystem::rename(folder.write("g", "new"), path);
  const auto mapped = MappedFile::map(file);
  EXPECT_EQ(mapped.bytes()[0], std::byte{'o'});
  const File cut = File::open(path);
  std::filesystem::resize_file(path, 2);
  expect_error(ErrorCode::kCorruptFile, "changed while it was opened",
               [&] { MappedFile::map(cut); });
}

TEST(ReadTextFile, HonoursItsLimit) {
  const TempFolder folder;
  const auto path = folder.write("f", "abc");
  EXPECT_EQ(read_text_file(path, 3), "abc");
  expect_error(ErrorCode::kCorruptFile, "3 bytes, at most 2", [&] { read_text_file(path, 2); });
}

TEST(ReadTextInput, TakesFilesAndStreams) {
  const TempFolder folder;
  const StopFlag stop;
  const auto path = folder.write("f", "abc");
  EXPECT_EQ(read_text_input(path, stop), "abc");
  EXPECT_FALSE(is_stream(path));
  expect_error(ErrorCode::kNotFound, "no such file",
               [&] { read_text_input(folder.path() / "none", stop); });
  expect_error(ErrorCode::kUsage, "is a directory", [&] { read_text_input(folder.path(), stop); });

  const auto fifo = folder.path() / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_TRUE(is_stream(fifo));
  const std::string long_text(300'000, 'x');
  std::thread writer([&] {  // later than the reader, and longer than a pipe
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    std::ofstream(fifo) << long_text;
  });
  EXPECT_TRUE(read_text_input(fifo, stop) == long_text);
  writer.join();
  expect_error(ErrorCode::kCorruptFile, "more than 1000 bytes",
               [&] { read_text_input("/dev/zero", stop, 1000); });
  EXPECT_EQ(read_text_input("/dev/null", stop), "");
}

// A pipe whose writer is done before it is opened by name: what a shell makes of <(echo hi).
TEST(ReadTextInput, TakesAPipeByItsNumber) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "hi", 2), 2);
  ::close(ends[1]);
  EXPECT_EQ(read_text_input(fmt::format("/dev/fd/{}", ends[0]), StopFlag()), "hi");
  ::close(ends[0]);
}

TEST(ReadTextInput, StopsWaiting) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  StopFlag stop;
  std::thread user([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    stop.request();
  });
  expect_error(ErrorCode::kInterrupted, "stopped",
               [&] { read_text_input(fmt::format("/dev/fd/{}", ends[0]), stop); });
  user.join();
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace pajamas
