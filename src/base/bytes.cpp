#include "base/bytes.h"

#include <fmt/format.h>

#include <bit>

namespace pajamas {

static_assert(std::endian::native == std::endian::little, "GGUF and safetensors are little-endian");

std::uint64_t checked_mul(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) {
    throw Error(ErrorCode::kCorruptFile, fmt::format("size {} x {} is impossible", a, b));
  }
  return product;
}

std::uint64_t checked_add(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) {
    throw Error(ErrorCode::kCorruptFile, fmt::format("offset {} + {} is impossible", a, b));
  }
  return sum;
}

std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
  PJ_CHECK(std::has_single_bit(alignment));
  return checked_add(value, alignment - 1) & ~(alignment - 1);
}

std::span<const std::byte> ByteReader::take(std::uint64_t n) {
  if (n > left()) {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("needs {} bytes at offset {}, {} are left", n, offset_, left()));
  }
  const auto taken = bytes_.subspan(offset_, n);
  offset_ += n;
  return taken;
}

}  // namespace pajamas
