// A file that grows at its end and keeps what it has, whatever happens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace pajamas {

// A file whose bytes are always a prefix of what it is to become. Destroyed without `commit`, it
// stays as it is, to be continued by another process.
class AppendFile {
 public:
  // Opens what is there, or creates it; folders too. Throws Error{kNoSpace, kIo}.
  explicit AppendFile(const std::filesystem::path& path);
  AppendFile(AppendFile&& other) noexcept;
  AppendFile& operator=(AppendFile&&) = delete;
  ~AppendFile();

  std::uint64_t size() const noexcept { return size_; }

  // Throws Error{kNoSpace} where the disk is full (what fitted stays), kIo otherwise.
  void append(std::span<const std::byte> bytes);
  // Drops everything.
  void clear();
  // Syncs, then gives it the name `path`. Nothing may be appended afterwards.
  void commit(const std::filesystem::path& path);

 private:
  [[noreturn]] void fail(const char* what, int code) const;

  std::filesystem::path path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
  std::uint64_t flushed_ = 0;  // up to where the system was told to write to the disk
};

// A folder in the system's folder for temporary files, removed with all that is in it.
class TemporaryFolder {
 public:
  // Throws Error{kIo, kNoSpace}.
  TemporaryFolder();
  TemporaryFolder(TemporaryFolder&& other) noexcept;
  TemporaryFolder& operator=(TemporaryFolder&& other) noexcept;
  ~TemporaryFolder();

  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace pajamas
