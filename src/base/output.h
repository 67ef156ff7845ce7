// Files and folders that appear under their final name only when they are complete.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <set>
#include <span>
#include <vector>

namespace pajamas {

// Where what is replaced is a link, the link stays and what it points to is replaced.
struct OutputOptions {
  bool replace = false;  // an existing output is exchanged for the new one at commit
};

enum class OutputKind { kFile, kDirectory };

// One file in the making: `.NAME.partial-PID` beside its final name, with its space reserved.
// Destroyed without commit, it is removed, with the folders that were created for it. What a killed
// process left of the same output is removed when it is made again. write_at is safe from several
// threads.
class OutputFile {
 public:
  // Throws Error{kExists} as require_absent does, kNoSpace if the disk cannot hold
  // `size` bytes, kIo otherwise. Parent folders are created.
  OutputFile(const std::filesystem::path& path, std::uint64_t size, OutputOptions options);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  const std::filesystem::path& path() const noexcept { return path_; }

  // Large pieces pass the page cache by where the file system allows that and their address has the
  // remainder of `offset` by kTransferBlock (BlockBuffer::place gives such). Throws
  // Error{kNoSpace} or kIo.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  // Starts writing to the disk what was written so far, so that little is left for `commit`; a hint
  // that does not wait for the disk. Safe beside write_at.
  void start_writeback() noexcept;
  // Syncs file and folder, then renames. Nothing may be written afterwards.
  void commit();

 private:
  friend class OutputDirectory;
  struct Unnamed {};
  OutputFile(Unnamed, std::filesystem::path path, std::uint64_t size);
  void open_and_reserve(std::uint64_t size);
  std::size_t write_directly(std::uint64_t offset, std::span<const std::byte> blocks) noexcept;
  void write_cached(std::uint64_t offset, std::span<const std::byte> bytes);
  void sync();
  void close() noexcept;
  void discard() noexcept;

  std::filesystem::path path_;
  std::filesystem::path partial_;
  std::vector<std::filesystem::path> created_;  // folders above it
  int fd_ = -1;
  int direct_fd_ = -1;  // the same file with O_DIRECT; -1 where that is refused
  bool replace_ = false;
};

// A folder in the making, as a whole: its files are written inside `.NAME.partial-PID`.
class OutputDirectory {
 public:
  // Throws as OutputFile does. Parent folders are created.
  OutputDirectory(const std::filesystem::path& path, OutputOptions options);
  OutputDirectory(OutputDirectory&& other) noexcept;
  OutputDirectory& operator=(OutputDirectory&&) = delete;
  ~OutputDirectory();

  // A file inside, `NAME` or `FOLDER/NAME`; it gets its name at once and is synced when its
  // `commit` is called.
  OutputFile create_file(const std::filesystem::path& name, std::uint64_t size);
  // Syncs and renames the folder. All files must have been committed.
  void commit();

 private:
  void discard() noexcept;

  std::filesystem::path path_;
  std::filesystem::path partial_;
  std::vector<std::filesystem::path> created_;  // folders above it
  std::set<std::filesystem::path> inner_;       // folders inside, relative to it
  int lock_fd_ = -1;                            // open until the folder has its name or is gone
  bool replace_ = false;
};

// Throws Error{kExists} where `path` is there already and `options` do not allow to replace it. A
// file never replaces a folder nor the other way round, nor anything else than these, and a folder
// is only replaced where it is empty or holds a config.json or tokenizer_config.json, as a model
// does, or is called as the first of several GGUF files in it.
void require_absent(const std::filesystem::path& path, OutputOptions options,
                    OutputKind kind = OutputKind::kFile);

// Throws Error{kNoSpace}, naming both figures, where fewer than `bytes` are free beside `path`.
void require_free_space(const std::filesystem::path& path, std::uint64_t bytes);

}  // namespace pajamas
