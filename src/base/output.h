// Files and folders that appear under their final name only when they are complete.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace pajamas {

struct OutputOptions {
  bool replace = false;  // an existing output is exchanged for the new one at commit
};

// One file in the making: `.NAME.partial-PID` beside its final name, with its space reserved.
// Destroyed without commit, it is removed. write_at is safe from several threads.
class OutputFile {
 public:
  // Throws Error{kExists} if the name is taken (without replace), kNoSpace if the disk cannot hold
  // `size` bytes, kIo otherwise. Parent folders are created.
  OutputFile(const std::filesystem::path& path, std::uint64_t size, OutputOptions options);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  const std::filesystem::path& path() const noexcept { return path_; }

  // Throws Error{kNoSpace} or kIo.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  // Starts writing these bytes back and drops them from the page cache; a hint.
  void flush_range(std::uint64_t offset, std::uint64_t length) noexcept;
  // Syncs file and folder, then renames. Nothing may be written afterwards.
  void commit();

 private:
  friend class OutputDirectory;
  struct Unnamed {};
  OutputFile(Unnamed, std::filesystem::path path, std::uint64_t size);
  void open_and_reserve(std::uint64_t size);
  void sync();
  void discard() noexcept;

  std::filesystem::path path_;
  std::filesystem::path partial_;
  int fd_ = -1;
  bool replace_ = false;
};

// A folder in the making, as a whole: its files are written inside `.NAME.partial-PID`.
class OutputDirectory {
 public:
  OutputDirectory(const std::filesystem::path& path, OutputOptions options);
  OutputDirectory(OutputDirectory&& other) noexcept;
  OutputDirectory& operator=(OutputDirectory&&) = delete;
  ~OutputDirectory();

  // A file inside; it gets its name at once and is synced when its `commit` is called.
  OutputFile create_file(const std::filesystem::path& name, std::uint64_t size);
  // Syncs and renames the folder. All files must have been committed.
  void commit();

 private:
  void discard() noexcept;

  std::filesystem::path path_;
  std::filesystem::path partial_;
  bool replace_ = false;
  bool open_ = true;
};

// Throws Error{kExists} where `path` is there already and `options` do not allow to replace it.
void require_absent(const std::filesystem::path& path, OutputOptions options);

// Throws Error{kNoSpace}, naming both figures, where fewer than `bytes` are free beside `path`.
void require_free_space(const std::filesystem::path& path, std::uint64_t bytes);

}  // namespace pajamas
