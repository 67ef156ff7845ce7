#include "base/scratch_memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/readable.h"
#include "base/unnamed_file.h"

namespace pajamas {

ScratchMemory ScratchMemory::in_memory(std::uint64_t bytes) {
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) {
    throw Error(ErrorCode::kOutOfMemory, fmt::format("cannot take {} of memory: {}",
                                                     readable_bytes(bytes), std::strerror(errno)));
  }
#ifdef MADV_NOHUGEPAGE
  ::madvise(at, bytes, MADV_NOHUGEPAGE);
#endif
  return {{static_cast<std::byte*>(at), bytes}, false};
}

ScratchMemory ScratchMemory::in_file(const std::filesystem::path& folder, std::uint64_t bytes) {
  UnnamedFile file(folder, UnnamedFile::Caching::kUsual);
  return {file.map(bytes), true};  // the mapping keeps the file
}

ScratchMemory::ScratchMemory(ScratchMemory&& other) noexcept
    : bytes_(std::exchange(other.bytes_, {})), is_file_(other.is_file_) {}

ScratchMemory::~ScratchMemory() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

}  // namespace pajamas
