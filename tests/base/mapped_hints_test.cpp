#include "base/mapped_hints.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>

#include "base/cached_ranges.h"
#include "io/temp.h"

namespace pajamas {
namespace {

constexpr std::uint64_t kBytes = 48u << 20;  // more than the system reads of one request

// Waits until a file's bytes are in memory; the system tells of neither the beginning nor the end.
bool comes_in(int fd, std::uint64_t offset, std::uint64_t length) {
  for (int i = 0; i < 3000; ++i) {
    if (CachedRanges::by_pages(fd, kBytes).has(offset, length)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST(MappedHints, ReadAllThatTheyAreAskedFor) {
  const test::TempFolder folder;
  const auto path = folder.write("f", std::string(kBytes, 'x'));
  const int fd = ::open(path.c_str(), O_RDONLY);
  ASSERT_EQ(::fsync(fd), 0);
  ASSERT_EQ(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
  const MappedFile mapped = MappedFile::map(File::open(path));
  const std::uint64_t half = kBytes / 2;
  {
    MappedHints ahead;
    ahead.read(mapped, half, half);
    ahead.read(mapped, 0, 4096);
    ahead.wait();
    EXPECT_TRUE(comes_in(fd, half, half));
    ahead.read(mapped, 0, half);
    ahead.wait();
    EXPECT_TRUE(comes_in(fd, 0, kBytes));
  }
  MappedHints idle;  // one that ends at once, and one that never began
  idle.read(mapped, 0, kBytes);
  const MappedHints unused;
  ::close(fd);
}

}  // namespace
}  // namespace pajamas
