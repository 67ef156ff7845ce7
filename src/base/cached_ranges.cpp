#include "base/cached_ranges.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/os.h"

namespace pajamas {
namespace {

// Pages that are looked up at a time: the answer has a byte for each.
constexpr std::uint64_t kStep = 64 * CachedRanges::kRangeBytes;
constexpr std::uint64_t kSamples = 16;

// Linux since 5.2 tells the pages of a file to those alone who could write it.
bool tells_pages(int fd) {
  struct stat status {};
  if (::geteuid() == 0) return true;
  if (::fstat(fd, &status) == 0 && status.st_uid == ::geteuid()) return true;
  return os::may_write(fd);
}

}  // namespace

CachedRanges::CachedRanges(std::uint64_t size, bool cached)
    : ranges_(size / kRangeBytes + (size % kRangeBytes != 0 ? 1 : 0), cached) {}

CachedRanges CachedRanges::of(int fd, std::uint64_t size) {
  return tells_pages(fd) ? by_pages(fd, size) : by_samples(fd, size);
}

CachedRanges CachedRanges::by_pages(int fd, std::uint64_t size) {
  CachedRanges found(size, false);
  if (size == 0) return found;
  void* const address = ::mmap(nullptr, size, PROT_NONE, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) return found;
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> pages(kStep / page);
  for (std::uint64_t begin = 0; begin < size; begin += kStep) {
    const std::uint64_t length = std::min(kStep, size - begin);
    if (!os::pages_in_memory(static_cast<char*>(address) + begin, length, pages)) break;
    for (std::uint64_t range = 0; range < length; range += kRangeBytes) {
      const auto first = pages.begin() + static_cast<std::ptrdiff_t>(range / page);
      const std::uint64_t bytes = std::min(kRangeBytes, length - range);
      const auto last = first + static_cast<std::ptrdiff_t>((bytes + page - 1) / page);
      found.ranges_[(begin + range) / kRangeBytes] =
          std::all_of(first, last, [](unsigned char p) { return (p & 1) != 0; });
    }
  }
  ::munmap(address, size);
  return found;
}

CachedRanges CachedRanges::by_samples(int fd, std::uint64_t size) {
  for (std::uint64_t i = 0; i < kSamples && size > 0; ++i) {
    if (!os::has_cached_byte(fd, (size - 1) / (kSamples - 1) * i)) return CachedRanges(size, false);
  }
  return CachedRanges(size, true);
}

bool CachedRanges::has(std::uint64_t offset, std::uint64_t size) const noexcept {
  if (size == 0) return true;
  const std::uint64_t last = (offset + size - 1) / kRangeBytes;
  for (std::uint64_t range = offset / kRangeBytes; range <= last; ++range) {
    if (range >= ranges_.size() || !ranges_[range]) return false;
  }
  return true;
}

}  // namespace pajamas
