#include "base/append_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/os.h"
#include "base/partial.h"

namespace pajamas {
namespace {

namespace fs = std::filesystem;

// Dirty pages are handed to the disk in pieces of this size, so that the last sync is short.
constexpr std::uint64_t kFlushBytes = 64u << 20;

}  // namespace

AppendFile::AppendFile(const fs::path& path) : path_(path) {
  internal::create_parents(path);
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0) fail("cannot create", errno);
  struct stat status {};
  if (::fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(std::exchange(fd_, -1));
    fail("cannot be written to", EINVAL);
  }
  size_ = flushed_ = static_cast<std::uint64_t>(status.st_size);
}

AppendFile::AppendFile(AppendFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      size_(other.size_),
      flushed_(other.flushed_) {}

AppendFile::~AppendFile() {
  if (fd_ >= 0) ::close(fd_);
}

void AppendFile::fail(const char* what, int code) const {
  const bool full = internal::is_lack_of_space(code);
  throw Error(full ? ErrorCode::kNoSpace : ErrorCode::kIo,
              fmt::format("{}: {}", what, std::strerror(code)),
              code == EFBIG
                  ? "a limit on the size of files is in the way (`ulimit -f`, or the file system's)"
              : full ? "free some space and run the same command again: it continues"
                     : "check the folder's permissions")
      .at(printable(path_.native(), 300));
}

void AppendFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(size_));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) fail("cannot write", put == 0 ? ENOSPC : errno);
    size_ += static_cast<std::uint64_t>(put);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  if (size_ - flushed_ < kFlushBytes) return;
  os::start_writing(fd_, flushed_);
  flushed_ = size_;
}

void AppendFile::clear() {
  if (::ftruncate(fd_, 0) != 0) fail("cannot empty", errno);
  size_ = flushed_ = 0;
}

void AppendFile::commit(const fs::path& path) {
  if (os::sync(fd_) != 0) fail("cannot sync", errno);
  if (::rename(path_.c_str(), path.c_str()) != 0) fail("cannot rename into place", errno);
  ::close(std::exchange(fd_, -1));
  internal::sync_folder(internal::parent_of(path));
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (fs::temp_directory_path() / "llama-pajamas-XXXXXX").native();
  if (::mkdtemp(name.data()) == nullptr) internal::throw_write_error(name, "cannot create", errno);
  path_ = name;
}

TemporaryFolder::TemporaryFolder(TemporaryFolder&& other) noexcept
    : path_(std::exchange(other.path_, {})) {}

TemporaryFolder& TemporaryFolder::operator=(TemporaryFolder&& other) noexcept {
  std::swap(path_, other.path_);
  return *this;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

}  // namespace pajamas
