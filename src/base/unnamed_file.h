// A file without a name: it is gone when it is closed, however that happens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace pajamas {

// Move-only. Reading and writing different places is safe from several threads.
class UnnamedFile {
 public:
  enum class Caching {
    kUsual,   // through the page cache
    kDirect,  // past it where the file system allows that: offsets, sizes and addresses are then
              // multiples of kTransferBlock
  };

  // In a folder that exists. Throws Error{kIo}, Error{kNoSpace}, Error{kNotFound}.
  UnnamedFile(const std::filesystem::path& folder, Caching caching);
  UnnamedFile(UnnamedFile&& other) noexcept;
  UnnamedFile& operator=(UnnamedFile&&) = delete;
  ~UnnamedFile();

  // Whether the page cache is passed by.
  bool is_direct() const noexcept { return direct_; }

  // Grows the file as it must. Throws Error{kNoSpace}, Error{kIo}.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  // Throws Error{kIo} where the file ends before.
  void read_at(std::uint64_t offset, std::span<std::byte> out) const;
  // The first `bytes` of the file, their space reserved, as memory that is written back to it; the
  // caller unmaps it, and it outlives the file. Throws Error{kNoSpace}, Error{kIo}.
  std::span<std::byte> map(std::uint64_t bytes);
  // Until it is on the disk, and no longer in the page cache.
  void sync();

 private:
  void set_direct(bool direct);

  std::filesystem::path folder_;
  int fd_ = -1;
  bool direct_ = false;
};

}  // namespace pajamas
