// Which bytes of a file the page cache holds.
#pragma once

#include <cstdint>
#include <vector>

namespace pajamas {

// What was there when it was asked: a snapshot, in ranges of kRangeBytes.
class CachedRanges {
 public:
  static constexpr std::uint64_t kRangeBytes = 1 << 20;

  // Of an open regular file of `size` bytes. By its pages where the system tells those, else by
  // samples.
  static CachedRanges of(int fd, std::uint64_t size);
  // Every page is looked up; none is read or touched. What the system tells of files that the user
  // neither owns nor may write is that all of it is there.
  static CachedRanges by_pages(int fd, std::uint64_t size);
  // All or nothing, by a few bytes that are spread over the file. A byte that is not there may have
  // the system read what lies around it.
  static CachedRanges by_samples(int fd, std::uint64_t size);

  // Whether every range that these bytes touch is there as a whole.
  bool has(std::uint64_t offset, std::uint64_t size) const noexcept;

 private:
  explicit CachedRanges(std::uint64_t size, bool cached);

  std::vector<bool> ranges_;
};

}  // namespace pajamas
