#include "base/mapped_pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace pajamas {

void drop_mapped(std::span<const std::byte> bytes, bool evict) noexcept {
  if (bytes.empty()) return;
  static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::uintptr_t first = begin / page * page;
  void* const address = reinterpret_cast<void*>(first);
  const std::size_t length = begin + bytes.size() - first;
#ifdef MADV_PAGEOUT
  // Before they leave this process: what nobody maps is not looked at.
  if (evict) (void)::madvise(address, length, MADV_PAGEOUT);
#else
  (void)evict;
#endif
  (void)::madvise(address, length, MADV_DONTNEED);
}

}  // namespace pajamas
