#include "base/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <string>
#include <utility>

#include "base/block_buffer.h"
#include "base/error.h"
#include "base/os.h"
#include "base/partial.h"
#include "base/place.h"
#include "base/readable.h"
#include "base/system.h"

namespace pajamas {
namespace {

namespace fs = std::filesystem;
using internal::throw_write_error;

[[noreturn]] void throw_exists(const fs::path& path, std::string problem, std::string hint) {
  throw Error(ErrorCode::kExists, std::move(problem), std::move(hint)).at(place_of(path));
}

// A model in several files, in a folder of their name: NAME/NAME-00001-of-00003.gguf.
bool holds_its_first_part(const fs::path& folder) {
  const std::string prefix = folder.filename().native() + "-00001-of-";
  std::error_code code;
  for (fs::directory_iterator next(folder, code), end; !code && next != end; next.increment(code)) {
    const std::string name = next->path().filename();
    if (name.starts_with(prefix) && name.ends_with(".gguf")) return true;
  }
  return false;
}

// --force exchanges a file for a file, and a folder for a folder that was one of ours: a slip of
// the keyboard must not remove somebody's home. Links count as what they point to; a link to
// nothing may get something to point to.
void require_replaceable(const fs::path& path, OutputKind kind) {
  std::error_code code;
  const fs::file_type found = fs::status(path, code).type();
  if (found == fs::file_type::not_found) return;
  const char* const hint = "remove it, or give another name";
  if (found != fs::file_type::regular && found != fs::file_type::directory) {
    throw_exists(path, "is no regular file", hint);
  }
  if (kind == OutputKind::kFile) {
    if (found == fs::file_type::regular) return;
    throw_exists(path, "is a folder, a file would be written", hint);
  }
  if (found == fs::file_type::regular) {
    throw_exists(path, "is a file, a folder would be written", hint);
  }
  if (fs::is_empty(path, code) || fs::exists(path / "config.json", code) ||
      fs::exists(path / "tokenizer_config.json", code) || holds_its_first_part(path)) {
    return;
  }
  throw_exists(path, "is a folder that holds no model (no config.json)",
               "--force replaces nothing else: remove it, or give another name");
}

// What is written for `path`: itself, or where it is a link and may be replaced, what that points
// to, there or not.
fs::path behind_links(fs::path path, OutputOptions options) {
  constexpr int kMostLinks = 40;  // as Linux has it
  std::error_code code;
  for (int i = 0; options.replace && fs::is_symlink(fs::symlink_status(path, code)); ++i) {
    if (i == kMostLinks) internal::throw_write_error(path, "cannot follow the link", ELOOP);
    path = path.parent_path() / fs::read_symlink(path, code);  // an absolute one replaces all
    if (code) internal::throw_write_error(path, "cannot follow the link", code.value());
  }
  return path;
}

// Smaller pieces are better gathered in the page cache.
constexpr std::size_t kDirectBytes = 64 << 10;

// A folder by a name that it can be renamed to: without a slash at the end, and not `.` or `..`.
fs::path folder_name(const fs::path& path) {
  fs::path name = path.filename().empty() ? path.parent_path() : path;
  if (name.filename() != "." && name.filename() != "..") return name;
  std::error_code code;
  return fs::weakly_canonical(name, code);
}

}  // namespace

void require_absent(const fs::path& path, OutputOptions options, OutputKind kind) {
  std::error_code code;
  const fs::file_type found = fs::symlink_status(path, code).type();
  if (found == fs::file_type::not_found) return;
  if (!options.replace) {
    throw_exists(path, "exists already", "give --force to replace it, or another name");
  }
  require_replaceable(path, kind);
}

void require_free_space(const fs::path& path, std::uint64_t bytes) {
  const std::uint64_t free = free_disk_bytes(path);
  if (free >= bytes) return;
  throw Error(ErrorCode::kNoSpace,
              fmt::format("needs {}, {} are free", readable_bytes(bytes), readable_bytes(free)),
              "free some space, choose another --output or a smaller --method")
      .at(place_of(path));
}

OutputFile::OutputFile(const fs::path& path, std::uint64_t size, OutputOptions options)
    : path_(behind_links(path, options)),
      partial_(internal::partial_name(path_)),
      replace_(options.replace) {
  if (path.filename().empty() || path.filename() == "." || path.filename() == "..") {
    throw Error(ErrorCode::kUsage, "is not the name of a file", "give a file name")
        .at(place_of(path));
  }
  require_absent(path, options, OutputKind::kFile);
  created_ = internal::create_parents(path_);
  internal::remove_stale_partials(path_);
  open_and_reserve(size);
}

OutputFile::OutputFile(Unnamed, fs::path path, std::uint64_t size)
    : path_(path), partial_(std::move(path)) {
  open_and_reserve(size);
}

void OutputFile::open_and_reserve(std::uint64_t size) {
  fd_ = ::open(partial_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd_ < 0 && errno == EEXIST) throw_exists(path_, "is being written already", "wait for it");
  if (fd_ < 0) throw_write_error(path_, "cannot create", errno);
  if (!internal::lock_partial(fd_)) {
    ::close(std::exchange(fd_, -1));
    throw_exists(path_, "is being written by another process", "wait for it");
  }
  if (size == 0) return;
  const bool possible = size <= static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
  const int code = possible ? os::reserve(fd_, size) : EFBIG;
  if (code == 0) {
    direct_fd_ = os::open_direct(partial_.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    return;
  }
  discard();
  throw_write_error(path_, fmt::format("cannot reserve {} bytes", size), code);
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      partial_(std::move(other.partial_)),
      created_(std::move(other.created_)),
      fd_(std::exchange(other.fd_, -1)),
      direct_fd_(std::exchange(other.direct_fd_, -1)),
      replace_(other.replace_) {}

OutputFile::~OutputFile() {
  if (fd_ >= 0) discard();
}

void OutputFile::close() noexcept {
  ::close(std::exchange(fd_, -1));
  if (direct_fd_ >= 0) ::close(std::exchange(direct_fd_, -1));
}

void OutputFile::discard() noexcept {
  close();
  ::unlink(partial_.c_str());
  internal::remove_parents(created_);
}

void OutputFile::write_cached(std::uint64_t offset, std::span<const std::byte> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t put =
        ::pwrite(fd_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) throw_write_error(path_, "cannot write", put == 0 ? ENOSPC : errno);
    done += static_cast<std::size_t>(put);
  }
}

// Returns how many of the first bytes were written, in whole blocks; whoever calls it writes the
// rest as ever, and so learns why.
std::size_t OutputFile::write_directly(std::uint64_t offset,
                                       std::span<const std::byte> blocks) noexcept {
  std::size_t done = 0;
  while (done < blocks.size()) {
    const ssize_t put = ::pwrite(direct_fd_, blocks.data() + done, blocks.size() - done,
                                 static_cast<off_t>(offset + done));
    if (put < 0 && errno == EINTR) continue;
    if (put < static_cast<ssize_t>(kTransferBlock)) break;
    done += static_cast<std::size_t>(put) / kTransferBlock * kTransferBlock;
  }
  return done;
}

void OutputFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  const std::uint64_t address = reinterpret_cast<std::uintptr_t>(bytes.data());
  if (direct_fd_ < 0 || bytes.size() < kDirectBytes ||
      address % kTransferBlock != offset % kTransferBlock) {
    return write_cached(offset, bytes);
  }
  // The incomplete blocks at both ends are shared with other pieces, which the page cache puts
  // together; no block is written both ways.
  const std::size_t head = (kTransferBlock - offset % kTransferBlock) % kTransferBlock;
  const std::size_t blocks = (bytes.size() - head) / kTransferBlock * kTransferBlock;
  if (head > 0) write_cached(offset, bytes.first(head));
  const std::size_t done = head + write_directly(offset + head, bytes.subspan(head, blocks));
  if (done < bytes.size()) write_cached(offset + done, bytes.subspan(done));
}

void OutputFile::start_writeback() noexcept { os::start_writing(fd_, 0); }

void OutputFile::sync() {
  if (os::sync(fd_) != 0) throw_write_error(path_, "cannot sync", errno);
}

void OutputFile::commit() {
  PJ_CHECK(fd_ >= 0);
  sync();
  if (partial_ != path_) {
    internal::rename_into_place(partial_, path_, replace_);
    close();
    internal::sync_folder(internal::parent_of(path_));
    return;
  }
  close();
}

OutputDirectory::OutputDirectory(const fs::path& path, OutputOptions options)
    : path_(behind_links(folder_name(path), options)),
      partial_(internal::partial_name(path_)),
      replace_(options.replace) {
  if (!path_.has_filename()) {
    throw Error(ErrorCode::kUsage, "is not the name of a folder", "give a folder name")
        .at(place_of(path));
  }
  require_absent(path_, options, OutputKind::kDirectory);
  created_ = internal::create_parents(path_);
  internal::remove_stale_partials(path_);
  std::error_code code;
  if (!fs::create_directory(partial_, code) && !code) {
    throw_exists(path_, "is being written already", "wait for it");
  }
  if (code) throw_write_error(path_, "cannot create the folder", code.value());
  lock_fd_ = ::open(partial_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock_fd_ < 0 || !internal::lock_partial(lock_fd_)) {
    if (lock_fd_ >= 0) ::close(lock_fd_);
    throw_exists(path_, "is being written by another process", "wait for it");
  }
}

OutputDirectory::OutputDirectory(OutputDirectory&& other) noexcept
    : path_(std::move(other.path_)),
      partial_(std::move(other.partial_)),
      created_(std::move(other.created_)),
      inner_(std::move(other.inner_)),
      lock_fd_(std::exchange(other.lock_fd_, -1)),
      replace_(other.replace_) {}

OutputDirectory::~OutputDirectory() {
  if (lock_fd_ >= 0) discard();
}

void OutputDirectory::discard() noexcept {
  std::error_code ignored;
  fs::remove_all(partial_, ignored);
  ::close(std::exchange(lock_fd_, -1));
  internal::remove_parents(created_);
}

OutputFile OutputDirectory::create_file(const fs::path& name, std::uint64_t size) {
  const fs::path inside = name.parent_path();
  PJ_CHECK(name.is_relative() && inside == inside.filename() && inside != "..");
  if (!inside.empty() && inner_.insert(inside).second) {
    std::error_code code;
    fs::create_directory(partial_ / inside, code);
    if (code) throw_write_error(path_ / inside, "cannot create the folder", code.value());
  }
  return OutputFile(OutputFile::Unnamed{}, partial_ / name, size);
}

void OutputDirectory::commit() {
  PJ_CHECK(lock_fd_ >= 0);
  for (const fs::path& inside : inner_) internal::sync_folder(partial_ / inside);
  internal::sync_folder(partial_);
  internal::rename_into_place(partial_, path_, replace_);
  ::close(std::exchange(lock_fd_, -1));
  internal::sync_folder(internal::parent_of(path_));
}

}  // namespace pajamas
