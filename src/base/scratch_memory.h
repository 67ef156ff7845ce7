// Memory for what is too large to be sure that it fits: taken as such, or a file without a name
// that the system keeps in memory as long as it can.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace pajamas {

// Zeros at first. Move-only; gone with the object, and with the process however it ends. Both kinds
// have pages as a mapped file of weights has them, none of the large ones, so that reading them
// takes as long.
class ScratchMemory {
 public:
  // Throws Error{kOutOfMemory} where the system has no room for `bytes`.
  static ScratchMemory in_memory(std::uint64_t bytes);
  // The space on the disk is reserved. Throws Error{kNoSpace}, Error{kNotFound}, Error{kIo}.
  static ScratchMemory in_file(const std::filesystem::path& folder, std::uint64_t bytes);

  ScratchMemory(ScratchMemory&& other) noexcept;
  ScratchMemory& operator=(ScratchMemory&&) = delete;
  ~ScratchMemory();

  std::span<std::byte> bytes() const noexcept { return bytes_; }
  bool is_file() const noexcept { return is_file_; }

 private:
  ScratchMemory(std::span<std::byte> bytes, bool is_file) noexcept
      : bytes_(bytes), is_file_(is_file) {}

  std::span<std::byte> bytes_;
  bool is_file_ = false;
};

}  // namespace pajamas
