// A lock between processes, as a file.
#pragma once

#include <filesystem>
#include <optional>

namespace pajamas {

// Holds flock(2) of a lock file until it is destroyed or its process dies. The file stays.
class FileLock {
 public:
  // Creates the file and its folder where they are missing. Nothing where another process holds
  // the lock. File systems without flock give every caller the lock. Throws Error{kIo}.
  static std::optional<FileLock> try_acquire(const std::filesystem::path& path);

  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}

  int fd_ = -1;
};

}  // namespace pajamas
