#include "base/unnamed_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/os.h"

namespace pajamas {
namespace {

[[noreturn]] void throw_disk_error(const std::filesystem::path& folder, const char* what,
                                   int code) {
  throw Error(code == ENOSPC || code == EDQUOT    ? ErrorCode::kNoSpace
              : code == ENOENT || code == ENOTDIR ? ErrorCode::kNotFound
                                                  : ErrorCode::kIo,
              fmt::format("cannot {}: {}", what, std::strerror(code)))
      .at(printable(folder.native(), 300));
}

}  // namespace

UnnamedFile::UnnamedFile(const std::filesystem::path& folder, Caching caching) : folder_(folder) {
  fd_ = os::open_unnamed(folder.c_str());
  if (fd_ < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
    std::string name = folder / ".pajamas-XXXXXX";
    fd_ = ::mkostemp(name.data(), O_CLOEXEC);
    if (fd_ >= 0) ::unlink(name.c_str());
  }
  if (fd_ < 0) throw_disk_error(folder, "write", errno);
  if (caching == Caching::kDirect) set_direct(true);
}

UnnamedFile::UnnamedFile(UnnamedFile&& other) noexcept
    : folder_(std::move(other.folder_)),
      fd_(std::exchange(other.fd_, -1)),
      direct_(other.direct_) {}

UnnamedFile::~UnnamedFile() {
  if (fd_ >= 0) ::close(fd_);
}

void UnnamedFile::set_direct(bool direct) { direct_ = os::set_direct(fd_, direct) && direct; }

void UnnamedFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0 && errno == EINVAL && direct_) {  // the file system cannot, after all
      set_direct(false);
      continue;
    }
    if (done <= 0) throw_disk_error(folder_, "write", done < 0 ? errno : ENOSPC);
    offset += static_cast<std::uint64_t>(done);
    bytes = bytes.subspan(static_cast<std::size_t>(done));
  }
}

void UnnamedFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t done = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) throw_disk_error(folder_, "read", done < 0 ? errno : EIO);
    offset += static_cast<std::uint64_t>(done);
    out = out.subspan(static_cast<std::size_t>(done));
  }
}

std::span<std::byte> UnnamedFile::map(std::uint64_t bytes) {
  // Without its space a full disk would be a signal, when a page is written.
  if (const int failed = os::reserve(fd_, bytes); failed != 0) {
    throw_disk_error(folder_, "write", failed);
  }
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (at == MAP_FAILED) throw_disk_error(folder_, "map a file", errno);
  return {static_cast<std::byte*>(at), bytes};
}

void UnnamedFile::sync() {
  if (os::sync_contents(fd_) != 0) throw_disk_error(folder_, "write", errno);
  if (!direct_) os::leave_cache(fd_);
}

}  // namespace pajamas
