// The types of GGUF metadata values: their ids in a file, and the walk between ids and C++ types.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "io/gguf.h"
#include "io/gguf_cursor.h"

namespace pajamas::io {

enum class GgufType : std::uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

template <class T>
constexpr GgufType gguf_type_of() noexcept {
  if constexpr (std::is_same_v<T, bool>) return GgufType::kBool;
  if constexpr (std::is_same_v<T, std::string>) return GgufType::kString;
  if constexpr (std::is_same_v<T, std::uint8_t>) return GgufType::kU8;
  if constexpr (std::is_same_v<T, std::int8_t>) return GgufType::kI8;
  if constexpr (std::is_same_v<T, std::uint16_t>) return GgufType::kU16;
  if constexpr (std::is_same_v<T, std::int16_t>) return GgufType::kI16;
  if constexpr (std::is_same_v<T, std::uint32_t>) return GgufType::kU32;
  if constexpr (std::is_same_v<T, std::int32_t>) return GgufType::kI32;
  if constexpr (std::is_same_v<T, std::uint64_t>) return GgufType::kU64;
  if constexpr (std::is_same_v<T, std::int64_t>) return GgufType::kI64;
  if constexpr (std::is_same_v<T, float>) return GgufType::kF32;
  if constexpr (std::is_same_v<T, double>) return GgufType::kF64;
  return GgufType::kArray;
}

// "u32", "array of string".
std::string type_name(const GgufValue& value);

// The next value, its type first. Throws Error{kCorruptFile} or {kUnsupported}.
GgufValue read_value(GgufCursor& cursor);

// Appends the value as a file has it, its type first.
void append_value(std::string& out, const GgufValue& value);

// Appends a length of 64 bits and the text.
void append_string(std::string& out, std::string_view text);

template <class T>
requires std::is_arithmetic_v<T>
void append_number(std::string& out, T value) {
  std::byte raw[sizeof(T)];
  store_le(raw, value);
  out += as_text(raw);
}

}  // namespace pajamas::io
