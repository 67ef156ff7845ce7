#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/cached_ranges.h"
#include "base/error.h"
#include "base/os.h"
#include "base/parallel.h"
#include "base/suggest.h"

namespace pajamas {
namespace {

[[noreturn]] void throw_open_error(const std::filesystem::path& path, int code) {
  const std::string place = printable(path.native(), 300);
  if (code == ENOENT || code == ENOTDIR) {
    throw Error(ErrorCode::kNotFound, "no such file", did_you_mean_path(path) + "check the path")
        .at(place);
  }
  throw Error(ErrorCode::kIo, fmt::format("cannot open: {}", std::strerror(code)),
              "check its permissions")
      .at(place);
}

[[noreturn]] void throw_truncated(const std::filesystem::path& path, std::uint64_t end,
                                  std::uint64_t offset, std::uint64_t wanted) {
  throw Error(
      ErrorCode::kCorruptFile,
      fmt::format("ends at byte {}, {} bytes from byte {} on were expected", end, wanted, offset),
      "the file is truncated: download or copy it again")
      .at(printable(path.native(), 300));
}

// Smaller files are not worth a second descriptor.
constexpr std::uint64_t kLarge = 1 << 20;

bool same_file(int fd, const struct stat& expected) noexcept {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && status.st_dev == expected.st_dev &&
         status.st_ino == expected.st_ino;
}

}  // namespace

struct File::Cached {
  std::once_flag once;
  std::optional<CachedRanges> ranges;
};

File::File(std::filesystem::path path, int fd, std::uint64_t size)
    : path_(std::move(path)), fd_(fd), size_(size) {}

File File::open(const std::filesystem::path& path) {
  // Non-blocking, so that a FIFO without a writer is refused below rather than waited for.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) throw_open_error(path, errno);
  File file(path, fd, 0);
  struct stat status {};
  if (::fstat(fd, &status) != 0) throw_open_error(path, errno);
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorCode::kUsage,
                S_ISDIR(status.st_mode) ? "is a directory" : "is not a regular file", "give a file")
        .at(printable(path.native(), 300));
  }
  file.size_ = static_cast<std::uint64_t>(status.st_size);
  if (file.size_ < kLarge) return file;
  file.direct_fd_ = os::open_direct(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file.direct_fd_ >= 0 && !same_file(file.direct_fd_, status)) {
    ::close(std::exchange(file.direct_fd_, -1));  // replaced meanwhile
  }
  if (file.direct_fd_ >= 0) file.cached_ = std::make_unique<Cached>();
  return file;
}

File::File(File&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      direct_fd_(std::exchange(other.direct_fd_, -1)),
      size_(other.size_),
      cached_(std::move(other.cached_)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(direct_fd_, other.direct_fd_);
  std::swap(size_, other.size_);
  std::swap(cached_, other.cached_);
  return *this;
}

File::~File() {
  if (fd_ >= 0) ::close(fd_);
  if (direct_fd_ >= 0) ::close(direct_fd_);
}

void File::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  if (offset > size_ || out.size() > size_ - offset)
    throw_truncated(path_, size_, offset, out.size());
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got =
        ::pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      throw Error(ErrorCode::kIo, fmt::format("cannot read: {}", std::strerror(errno)))
          .at(printable(path_.native(), 300));
    }
    if (got == 0) {
      throw_truncated(path_, offset + done, offset, out.size());
    }
    done += static_cast<std::size_t>(got);
  }
}

// Looked up once: to ask for every piece would have all threads flush their page tables each time.
bool File::was_cached(std::uint64_t offset, std::uint64_t size) const {
  std::call_once(cached_->once, [&] { cached_->ranges = CachedRanges::of(fd_, size_); });
  return cached_->ranges->has(offset, size);
}

// The whole blocks around `out`, as BlockBuffer::place lays it; returns how many of its first bytes
// were read. Whoever calls it reads the rest as ever, and so learns why.
std::uint64_t File::read_directly(std::uint64_t offset, std::span<std::byte> out) const noexcept {
  const std::uint64_t head = offset % kTransferBlock;
  std::byte* const first = out.data() - head;
  const std::uint64_t wanted = head + out.size();
  std::uint64_t done = 0;
  while (done < wanted) {
    const std::uint64_t left = (wanted - done + kTransferBlock - 1) / kTransferBlock;
    const ssize_t got = ::pread(direct_fd_, first + done, left * kTransferBlock,
                                static_cast<off_t>(offset - head + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    done += static_cast<std::uint64_t>(got);
    if (done % kTransferBlock != 0) break;  // the end of the file
  }
  return done <= head ? 0 : std::min<std::uint64_t>(done - head, out.size());
}

std::span<const std::byte> File::read_once(std::uint64_t offset, std::uint64_t size,
                                           BlockBuffer& buffer) const {
  if (offset > size_ || size > size_ - offset) throw_truncated(path_, size_, offset, size);
  const std::span<std::byte> out = buffer.place(offset, size);
  std::uint64_t done = 0;
  if (direct_fd_ >= 0 && !was_cached(offset, size)) done = read_directly(offset, out);
  if (done < size) read_at(offset + done, out.subspan(done));
  return out;
}

void File::prefetch(std::uint64_t offset, std::uint64_t length) const noexcept {
  os::start_reading(fd_, offset, length);
}

MappedFile MappedFile::map(const File& file) {
  struct stat status {};
  if (::fstat(file.fd_, &status) != 0 ||
      static_cast<std::uint64_t>(status.st_size) != file.size()) {
    throw Error(ErrorCode::kCorruptFile, "the file changed while it was opened", "try again")
        .at(printable(file.path().native(), 300));
  }
  if (file.size() == 0) return MappedFile({});
  void* address = ::mmap(nullptr, file.size(), PROT_READ, MAP_SHARED, file.fd_, 0);
  if (address == MAP_FAILED) {
    throw Error(ErrorCode::kIo, fmt::format("cannot map: {}", std::strerror(errno)))
        .at(printable(file.path().native(), 300));
  }
  return MappedFile({static_cast<const std::byte*>(address), file.size()});
}

bool MappedFile::is_cached(std::uint64_t offset, std::uint64_t length) const noexcept {
  if (length == 0) return true;
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const auto in_memory = [&](std::uint64_t at) {
    unsigned char known = 0;
    return os::pages_in_memory(bytes_.data() + at / page * page, 1, {&known, 1}) &&
           (known & 1) != 0;
  };
  return in_memory(offset) && in_memory(offset + length - 1);
}

void MappedFile::read_in(std::uint64_t offset, std::uint64_t length) const noexcept {
  if (is_cached(offset, length)) return;
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t first = offset / page * page;
  void* const address = const_cast<std::byte*>(bytes_.data()) + first;
  const std::size_t size = offset + length - first;
#ifdef MADV_POPULATE_READ  // Linux 5.14
  if (::madvise(address, size, MADV_POPULATE_READ) == 0) return;
#endif
  (void)::madvise(address, size, MADV_WILLNEED);
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

std::string read_text_file(const std::filesystem::path& path, std::uint64_t limit) {
  const File file = File::open(path);
  if (file.size() > limit) {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("{} bytes, at most {} are sensible here", file.size(), limit))
        .at(printable(path.native(), 300));
  }
  std::string text(file.size(), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

namespace {

// Opening this by its name fails where it is a socket, or belongs to another user.
bool is_standard_input(const std::filesystem::path& path) {
  return path == "-" || path == "/dev/stdin" || path == "/dev/fd/0" || path == "/proc/self/fd/0";
}

// To the end of a stream. Between its pieces, and every now and then, the flag is looked at: a
// signal that comes just before a call that waits would not end that call.
std::string read_stream(int fd, const std::string& place, const StopFlag& stop, std::uint64_t limit,
                        const std::function<void()>& on_silence) {
  constexpr std::size_t kPiece = 64 << 10;
  constexpr int kPatience = 200, kSilence = 3000;  // milliseconds
  std::string text;
  int waited = 0;
  for (;;) {
    stop.check();
    pollfd ready{fd, POLLIN, 0};
    if (::poll(&ready, 1, kPatience) <= 0) {
      waited += kPatience;
      if (waited == kSilence && text.empty() && on_silence) on_silence();
      continue;
    }
    const std::size_t done = text.size();
    text.resize(done + kPiece);
    const ssize_t got = ::read(fd, text.data() + done, kPiece);
    text.resize(done + static_cast<std::size_t>(std::max<ssize_t>(0, got)));
    if (got == 0) return text;
    if (got < 0 && errno != EINTR && errno != EAGAIN) {
      throw Error(ErrorCode::kIo, fmt::format("cannot read: {}", std::strerror(errno))).at(place);
    }
    if (text.size() > limit) {
      throw Error(ErrorCode::kCorruptFile,
                  fmt::format("more than {} bytes, which is not sensible here", limit))
          .at(place);
    }
  }
}

}  // namespace

bool is_stream(const std::filesystem::path& path) {
  using std::filesystem::file_type;
  std::error_code code;
  const file_type type = std::filesystem::status(path, code).type();
  return is_standard_input(path) || type == file_type::fifo || type == file_type::character ||
         type == file_type::socket;
}

std::string text_input_name(const std::filesystem::path& path) {
  return is_standard_input(path) ? "standard input" : printable(path.native(), 300);
}

std::string read_text_input(const std::filesystem::path& path, const StopFlag& stop,
                            std::uint64_t limit, const std::function<void()>& on_silence) {
  const std::string place = text_input_name(path);
  if (is_standard_input(path)) return read_stream(STDIN_FILENO, place, stop, limit, on_silence);
  if (!is_stream(path)) return read_text_file(path, limit);
  // Non-blocking, so that waiting for whoever writes is waiting in `poll`.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) throw_open_error(path, errno);
  try {
    std::string text = read_stream(fd, place, stop, limit, on_silence);
    ::close(fd);
    return text;
  } catch (...) {
    ::close(fd);
    throw;
  }
}

}  // namespace pajamas
