// Reading a GGUF header forward through a small window: a file of any size, and of any origin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"

namespace pajamas::io {

// Moves forward only, and only as far as there are bytes; every length is checked against what is
// left before anything is allocated for it. `file` outlives the cursor.
class GgufCursor {
 public:
  // Real headers have 6 to 15 MB.
  static constexpr std::uint64_t kMaxHeaderBytes = 128u << 20;

  explicit GgufCursor(const File& file);

  std::uint64_t offset() const noexcept { return offset_; }
  // Bytes that can still be read.
  std::uint64_t left() const noexcept { return end_ - offset_; }

  // Throws Error{kCorruptFile} where fewer than `count` items of at least `bytes_each` can follow,
  // Error{kUnsupported} where they would reach beyond kMaxHeaderBytes.
  void require(std::uint64_t count, std::uint64_t bytes_each) const;

  // Fills `out`. Throws as `require` does.
  void read_into(std::span<std::byte> out);

  template <class T>
  requires std::is_arithmetic_v<T> T read() {
    std::byte raw[sizeof(T)];
    read_into(raw);
    return load_le<T>(raw);
  }

  // One byte that must be 0 or 1.
  bool read_bool();

  // A length of 64 bits, then as many bytes. Throws Error{kCorruptFile} above `max_bytes`.
  std::string read_string(std::uint64_t max_bytes = kMaxHeaderBytes);

 private:
  const File& file_;
  std::uint64_t end_;
  std::uint64_t offset_ = 0;
  std::vector<std::byte> buffer_;
  std::span<const std::byte> window_;  // what of the buffer lies ahead
};

}  // namespace pajamas::io
