#include "base/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/system.h"

namespace pajamas {
namespace {

namespace fs = std::filesystem;

std::string place_of(const fs::path& path) { return printable(path.native(), 300); }

[[noreturn]] void throw_write_error(const fs::path& path, std::string_view what, int code) {
  if (code == ENOSPC || code == EDQUOT || code == EFBIG) {
    throw Error(ErrorCode::kNoSpace, fmt::format("{}: {}", what, std::strerror(code)),
                "free some space or choose another --output; nothing was left behind")
        .at(place_of(path));
  }
  throw Error(ErrorCode::kIo, fmt::format("{}: {}", what, std::strerror(code)),
              "check the folder's permissions")
      .at(place_of(path));
}

fs::path parent_of(const fs::path& path) {
  const fs::path parent = path.parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

fs::path partial_name(const fs::path& path) {
  return parent_of(path) / fmt::format(".{}.partial-{}", path.filename().native(), ::getpid());
}

void create_parents(const fs::path& path) {
  std::error_code code;
  fs::create_directories(parent_of(path), code);
  if (code) throw_write_error(parent_of(path), "cannot create the folder", code.value());
}

void sync_folder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throw_write_error(folder, "cannot open the folder", errno);
  const int status = ::fsync(fd);
  const int code = errno;
  ::close(fd);
  // Some file systems cannot sync a folder and say so; their renames need none.
  if (status != 0 && code != EINVAL) throw_write_error(folder, "cannot sync the folder", code);
}

// Gives `partial` its final name. Without `replace`, a name taken meanwhile is not overwritten;
// with it, what stood there is exchanged in one step and removed afterwards.
void rename_into_place(const fs::path& partial, const fs::path& path, bool replace) {
  if (::renameat2(AT_FDCWD, partial.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0) return;
  if (errno == EEXIST && !replace) {
    throw Error(ErrorCode::kExists, "appeared while this ran", "give --force to replace it")
        .at(place_of(path));
  }
  if (errno == EEXIST &&
      ::renameat2(AT_FDCWD, partial.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) == 0) {
    std::error_code ignored;
    fs::remove_all(partial, ignored);
    return;
  }
  // File systems without renameat2 flags: plain rename, for folders after moving the old one away.
  if (errno == EINVAL || errno == ENOSYS || errno == EEXIST) {
    std::error_code code;
    if (replace && fs::is_directory(path)) fs::remove_all(path, code);
    if (::rename(partial.c_str(), path.c_str()) == 0) return;
  }
  throw_write_error(path, "cannot rename into place", errno);
}

}  // namespace

void require_absent(const fs::path& path, OutputOptions options) {
  std::error_code code;
  if (fs::symlink_status(path, code).type() == fs::file_type::not_found) return;
  if (options.replace) return;
  throw Error(ErrorCode::kExists, "exists already",
              "give --force to replace it, or another --output")
      .at(place_of(path));
}

void require_free_space(const fs::path& path, std::uint64_t bytes) {
  const std::uint64_t free = free_disk_bytes(path);
  if (free >= bytes) return;
  throw Error(ErrorCode::kNoSpace,
              fmt::format("needs {:.2f} GB, {:.2f} GB are free", static_cast<double>(bytes) / 1e9,
                          static_cast<double>(free) / 1e9),
              "free some space, choose another --output or a smaller --method")
      .at(place_of(path));
}

OutputFile::OutputFile(const fs::path& path, std::uint64_t size, OutputOptions options)
    : path_(path), partial_(partial_name(path)), replace_(options.replace) {
  if (path.filename().empty()) {
    throw Error(ErrorCode::kUsage, "is not the name of a file").at(place_of(path));
  }
  require_absent(path, options);
  create_parents(path);
  open_and_reserve(size);
}

OutputFile::OutputFile(Unnamed, fs::path path, std::uint64_t size)
    : path_(path), partial_(std::move(path)) {
  open_and_reserve(size);
}

void OutputFile::open_and_reserve(std::uint64_t size) {
  fd_ = ::open(partial_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd_ < 0 && errno == EEXIST) {  // left by a killed process whose number came round again
    ::unlink(partial_.c_str());
    fd_ = ::open(partial_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  }
  if (fd_ < 0) throw_write_error(path_, "cannot create", errno);
  if (size == 0) return;
  // posix_fallocate falls back to writing zeros where the file system cannot reserve.
  const int code = ::posix_fallocate(fd_, 0, static_cast<off_t>(size));
  if (code != 0) {
    discard();
    throw_write_error(path_, fmt::format("cannot reserve {} bytes", size), code);
  }
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      partial_(std::move(other.partial_)),
      fd_(std::exchange(other.fd_, -1)),
      replace_(other.replace_) {}

OutputFile::~OutputFile() {
  if (fd_ >= 0) discard();
}

void OutputFile::discard() noexcept {
  ::close(std::exchange(fd_, -1));
  ::unlink(partial_.c_str());
}

void OutputFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t put =
        ::pwrite(fd_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) throw_write_error(path_, "cannot write", put == 0 ? ENOSPC : errno);
    done += static_cast<std::size_t>(put);
  }
}

void OutputFile::flush_range(std::uint64_t offset, std::uint64_t length) noexcept {
  (void)::sync_file_range(fd_, static_cast<off_t>(offset), static_cast<off_t>(length),
                          SYNC_FILE_RANGE_WRITE);
}

void OutputFile::sync() {
  if (::fsync(fd_) != 0) throw_write_error(path_, "cannot sync", errno);
}

void OutputFile::commit() {
  PJ_CHECK(fd_ >= 0);
  sync();
  if (partial_ != path_) {
    rename_into_place(partial_, path_, replace_);
    ::close(std::exchange(fd_, -1));
    sync_folder(parent_of(path_));
    return;
  }
  ::close(std::exchange(fd_, -1));
}

OutputDirectory::OutputDirectory(const fs::path& path, OutputOptions options)
    : path_(path.filename().empty() ? path.parent_path() : path),
      partial_(partial_name(path_)),
      replace_(options.replace) {
  require_absent(path_, options);
  create_parents(path_);
  std::error_code code;
  fs::remove_all(partial_, code);
  fs::create_directory(partial_, code);
  if (code) throw_write_error(path_, "cannot create the folder", code.value());
}

OutputDirectory::OutputDirectory(OutputDirectory&& other) noexcept
    : path_(std::move(other.path_)),
      partial_(std::move(other.partial_)),
      replace_(other.replace_),
      open_(std::exchange(other.open_, false)) {}

OutputDirectory::~OutputDirectory() {
  if (open_) discard();
}

void OutputDirectory::discard() noexcept {
  open_ = false;
  std::error_code ignored;
  fs::remove_all(partial_, ignored);
}

OutputFile OutputDirectory::create_file(const fs::path& name, std::uint64_t size) {
  return OutputFile(OutputFile::Unnamed{}, partial_ / name, size);
}

void OutputDirectory::commit() {
  PJ_CHECK(open_);
  sync_folder(partial_);
  rename_into_place(partial_, path_, replace_);
  open_ = false;
  sync_folder(parent_of(path_));
}

}  // namespace pajamas
