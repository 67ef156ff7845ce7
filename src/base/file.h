// Files that are read: by position with `pread`, or mapped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/block_buffer.h"

namespace pajamas {

class StopFlag;

// An open regular file, read by position. Safe to read from several threads.
class File {
 public:
  // Throws Error{kNotFound} where there is none, kUsage for a directory, kIo otherwise.
  static File open(const std::filesystem::path& path);

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  const std::filesystem::path& path() const noexcept { return path_; }
  std::uint64_t size() const noexcept { return size_; }

  // Fills `out` with the bytes from `offset` on. Throws Error{kCorruptFile} where the file ends
  // before (it may have been cut after it was opened), kIo where the system refuses.
  void read_at(std::uint64_t offset, std::span<std::byte> out) const;

  // The same for large pieces that are read once: what the page cache did not have when the first
  // was read is read past it where the file system allows that, so that nothing is copied and
  // nothing else is pushed out. The bytes lie in `buffer` until it is used again.
  std::span<const std::byte> read_once(std::uint64_t offset, std::uint64_t size,
                                       BlockBuffer& buffer) const;
  // Whether read_once passes the page cache by, so that `prefetch` is in its way.
  bool reads_directly() const noexcept { return direct_fd_ >= 0; }

  // Asks the system to start reading these bytes into its page cache. A hint: returns before they
  // are there, and failure is ignored.
  void prefetch(std::uint64_t offset, std::uint64_t length) const noexcept;

 private:
  friend class MappedFile;
  struct Cached;  // what the page cache had
  File(std::filesystem::path path, int fd, std::uint64_t size);
  bool was_cached(std::uint64_t offset, std::uint64_t size) const;
  std::uint64_t read_directly(std::uint64_t offset, std::span<std::byte> out) const noexcept;

  std::filesystem::path path_;
  int fd_ = -1;
  int direct_fd_ = -1;  // the same file with O_DIRECT; -1 where that is refused
  std::uint64_t size_ = 0;
  std::unique_ptr<Cached> cached_;  // of a file with a `direct_fd_`
};

// The whole of a file as read-only memory. For running a model; a file that shrinks while it is
// mapped kills the process with SIGBUS, so nothing but the engine uses it.
class MappedFile {
 public:
  // Of the file that was opened, whatever its name means by now; the mapping outlives `file`.
  // Throws Error{kCorruptFile} where its size is no longer that of the opening, kIo otherwise.
  static MappedFile map(const File& file);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const& noexcept { return bytes_; }
  std::span<const std::byte> bytes() && = delete;

  // Whether the beginning and the end of these bytes are in memory now. Two system calls: what is
  // between them is taken to be as they are.
  bool is_cached(std::uint64_t offset, std::uint64_t length) const noexcept;
  // Reads these bytes and puts them into the process's address space, so that looking at them waits
  // for nothing. Nothing is done where they are in memory; a system that cannot only begins to
  // read. Failure is ignored.
  void read_in(std::uint64_t offset, std::uint64_t length) const noexcept;

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::span<const std::byte> bytes_;
};

inline constexpr std::uint64_t kMaxTextBytes = 256u << 20;

// The whole of a small text file. Throws as File::open does, and Error{kCorruptFile} above `limit`
// bytes.
std::string read_text_file(const std::filesystem::path& path, std::uint64_t limit = kMaxTextBytes);

// The whole of a text that a user names: a file as above, standard input as `-`, or what has no
// size before its end, as a pipe, a FIFO and a terminal have none. Throws as read_text_file does,
// and Error{kInterrupted} once `stop` is requested while it waits. `on_silence` is called once
// where a stream brings nothing for three seconds.
std::string read_text_input(const std::filesystem::path& path, const StopFlag& stop,
                            std::uint64_t limit = kMaxTextBytes,
                            const std::function<void()>& on_silence = {});
// Whether it is one of those without a size, `-` included.
bool is_stream(const std::filesystem::path& path);
// Its name in messages.
std::string text_input_name(const std::filesystem::path& path);

}  // namespace pajamas
