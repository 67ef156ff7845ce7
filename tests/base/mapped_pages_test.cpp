#include "base/mapped_pages.h"

#include <gtest/gtest.h>

#include <fstream>
#include <numeric>
#include <string>

#include "base/file.h"
#include "base/mapped_hints.h"
#include "io/temp.h"

namespace pajamas {
namespace {

// Bytes of mapped files that count as this process's memory now.
std::uint64_t mapped_bytes() {
  std::ifstream file("/proc/self/status");
  std::uint64_t bytes = 0;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("RssFile:") && !line.starts_with("RssShmem:")) continue;
    bytes += std::stoull(line.substr(line.find(':') + 1)) * 1024;
  }
  return bytes;
}

int sum(std::span<const std::byte> bytes) {
  return std::accumulate(bytes.begin(), bytes.end(), 0,
                         [](int a, std::byte b) { return a + static_cast<int>(b); });
}

TEST(MappedPages, WhatIsDroppedIsNoMemoryOfThisProcessAndIsStillThere) {
  const test::TempFolder folder;
  constexpr std::size_t kSize = 16 << 20;
  const auto path = folder.write("big", std::string(kSize, '\1'));
  const MappedFile file = MappedFile::map(File::open(path));
  MappedHints hints;
  for (const bool evict : {false, true}) {
    for (const bool by_thread : {false, true}) {
      ASSERT_EQ(sum(file.bytes()), static_cast<int>(kSize));
      const std::uint64_t before = mapped_bytes();
      // Not at the beginning of a page.
      if (by_thread) {
        hints.drop(file, 100, kSize - 5000, evict);
        hints.wait();
      } else {
        drop_mapped(file.bytes().subspan(100, kSize - 5000), evict);
      }
      EXPECT_LT(mapped_bytes() + kSize * 3 / 4, before) << evict << by_thread;
    }
  }
  EXPECT_EQ(sum(file.bytes()), static_cast<int>(kSize));
  drop_mapped({}, true);
}

}  // namespace
}  // namespace pajamas
