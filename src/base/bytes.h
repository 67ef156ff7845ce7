// Bounds-checked reading of bytes, arithmetic that cannot wrap, little-endian loads and stores.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/error.h"

namespace pajamas {

// Products and sums of untrusted sizes. Throw Error{kCorruptFile} instead of wrapping.
std::uint64_t checked_mul(std::uint64_t a, std::uint64_t b);
std::uint64_t checked_add(std::uint64_t a, std::uint64_t b);

// Smallest multiple of `alignment` (a power of two) that is >= value; throws on overflow.
std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment);

// All hosts of this project are little-endian; the formats are too.
template <class T>
requires std::is_trivially_copyable_v<T> T load_le(const std::byte* from)
noexcept {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

template <class T>
requires std::is_trivially_copyable_v<T>
void store_le(std::byte* to, T value) noexcept { std::memcpy(to, &value, sizeof(T)); }

// Reads forward through bytes of unknown origin; the only way to move is `take`, which checks by
// subtraction. Errors carry the offset; the caller adds file and field.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::uint64_t offset() const noexcept { return offset_; }
  std::uint64_t left() const noexcept { return bytes_.size() - offset_; }

  // The next n bytes. Throws Error{kCorruptFile} where fewer are left.
  std::span<const std::byte> take(std::uint64_t n);

  template <class T>
  T read() {
    return load_le<T>(take(sizeof(T)).data());
  }

 private:
  std::span<const std::byte> bytes_;
  std::uint64_t offset_ = 0;
};

inline std::string_view as_text(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline std::span<const std::byte> as_byte_span(std::string_view text) noexcept {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

}  // namespace pajamas
