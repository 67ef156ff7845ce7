// Checksums, by which the hub names the content of files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace pajamas::hub {

// The checksum of a file, over its bytes in order as they come.
class Digest {
 public:
  // SHA-256 of the content: the name of a large file (LFS).
  static Digest sha256();
  // SHA-1 of git's `blob SIZE\0` and the content: the name of a file that git itself holds.
  static Digest git_blob(std::uint64_t size);

  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;
  ~Digest();

  void update(std::span<const std::byte> bytes);
  // In hexadecimal, lower case. Called once, at the end.
  std::string finish();

 private:
  struct Impl;
  explicit Digest(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pajamas::hub
