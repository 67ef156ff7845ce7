#include "io/gguf_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"

namespace pajamas::io {
namespace {

// Four times the largest vocabulary and its merges. Each costs more memory than the eight bytes
// that it takes in a file.
constexpr std::uint64_t kMaxStrings = 1u << 23;

constexpr std::array<std::string_view, 13> kTypeNames{
    "u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"};

std::string_view name_of(GgufType type) { return kTypeNames[static_cast<std::size_t>(type)]; }

GgufType read_type(GgufCursor& cursor) {
  const auto id = cursor.read<std::uint32_t>();
  if (id >= kTypeNames.size()) {
    throw Error(ErrorCode::kCorruptFile, fmt::format("unknown value type {}", id),
                "the file is damaged, or newer than this program");
  }
  return static_cast<GgufType>(id);
}

template <class T>
std::vector<T> read_items(GgufCursor& cursor, std::uint64_t count) {
  std::vector<T> items;
  if constexpr (std::is_same_v<T, std::string>) {
    cursor.require(count, sizeof(std::uint64_t));
    if (count > kMaxStrings) {
      throw Error(
          ErrorCode::kUnsupported,
          fmt::format("{} texts in one array, at most {} are sensible", count, kMaxStrings));
    }
    for (std::uint64_t i = 0; i < count; ++i) items.push_back(cursor.read_string());
  } else if constexpr (std::is_same_v<T, bool>) {
    cursor.require(count, 1);
    items.resize(count);
    for (std::uint64_t i = 0; i < count; ++i) items[i] = cursor.read_bool();
  } else {
    cursor.require(count, sizeof(T));
    items.resize(count);
    cursor.read_into(std::as_writable_bytes(std::span(items)));
  }
  return items;
}

// Calls fn with a value of the C++ type of each scalar `type`; its result is the result.
template <class Fn>
GgufValue with_scalar(GgufType type, Fn&& fn) {
  switch (type) {
    case GgufType::kU8:
      return fn(std::uint8_t{});
    case GgufType::kI8:
      return fn(std::int8_t{});
    case GgufType::kU16:
      return fn(std::uint16_t{});
    case GgufType::kI16:
      return fn(std::int16_t{});
    case GgufType::kU32:
      return fn(std::uint32_t{});
    case GgufType::kI32:
      return fn(std::int32_t{});
    case GgufType::kF32:
      return fn(float{});
    case GgufType::kBool:
      return fn(bool{});
    case GgufType::kString:
      return fn(std::string{});
    case GgufType::kU64:
      return fn(std::uint64_t{});
    case GgufType::kI64:
      return fn(std::int64_t{});
    case GgufType::kF64:
      return fn(double{});
    case GgufType::kArray:
      break;
  }
  throw Error(ErrorCode::kUnsupported, "an array of arrays", "no known program writes one");
}

GgufValue read_array(GgufCursor& cursor) {
  const GgufType type = read_type(cursor);
  const auto count = cursor.read<std::uint64_t>();
  return with_scalar(
      type, [&]<class T>(T) -> GgufValue { return GgufArray(read_items<T>(cursor, count)); });
}

template <class T>
void append_item(std::string& out, const T& item) {
  if constexpr (std::is_same_v<T, std::string>) {
    append_string(out, item);
  } else if constexpr (std::is_same_v<T, bool>) {
    out += item ? '\1' : '\0';
  } else {
    append_number(out, item);
  }
}

void append_array(std::string& out, const GgufArray& array) {
  std::visit(
      [&]<class T>(const std::vector<T>& items) {
        append_number(out, static_cast<std::uint32_t>(gguf_type_of<T>()));
        append_number(out, static_cast<std::uint64_t>(items.size()));
        for (const T& item : items) append_item<T>(out, item);
      },
      array);
}

}  // namespace

std::string type_name(const GgufValue& value) {
  if (const auto* array = std::get_if<GgufArray>(&value)) {
    return std::visit(
        []<class T>(const std::vector<T>&) {
          return fmt::format("array of {}", name_of(gguf_type_of<T>()));
        },
        *array);
  }
  return std::visit([]<class T>(const T&) { return std::string(name_of(gguf_type_of<T>())); },
                    value);
}

GgufValue read_value(GgufCursor& cursor) {
  const GgufType type = read_type(cursor);
  if (type == GgufType::kArray) return read_array(cursor);
  return with_scalar(type, [&]<class T>(T) -> GgufValue {
    if constexpr (std::is_same_v<T, std::string>) {
      return cursor.read_string();
    } else if constexpr (std::is_same_v<T, bool>) {
      return cursor.read_bool();
    } else {
      return cursor.read<T>();
    }
  });
}

void append_value(std::string& out, const GgufValue& value) {
  std::visit(
      [&]<class T>(const T& item) {
        append_number(out, static_cast<std::uint32_t>(gguf_type_of<T>()));
        if constexpr (std::is_same_v<T, GgufArray>) {
          append_array(out, item);
        } else {
          append_item<T>(out, item);
        }
      },
      value);
}

void append_string(std::string& out, std::string_view text) {
  append_number(out, static_cast<std::uint64_t>(text.size()));
  out += text;
}

}  // namespace pajamas::io
