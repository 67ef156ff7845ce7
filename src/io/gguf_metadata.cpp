#include <fmt/format.h>

#include <limits>
#include <utility>

#include "base/error.h"
#include "io/gguf.h"
#include "io/gguf_values.h"

namespace pajamas::io {
namespace {

[[noreturn]] void throw_wrong_type(std::string_view key, const GgufValue& value,
                                   std::string_view wanted) {
  throw Error(ErrorCode::kCorruptFile,
              fmt::format("is {} where {} is needed", type_name(value), wanted))
      .at(printable(key));
}

template <class T>
constexpr bool kIsInteger = std::is_integral_v<T> && !std::is_same_v<T, bool>;

template <class T>
constexpr bool kIsNumber = kIsInteger<T> || std::is_floating_point_v<T>;

template <class T>
std::vector<std::int32_t> narrow_items(std::string_view key, const std::vector<T>& items) {
  std::vector<std::int32_t> out;
  out.reserve(items.size());
  for (const T item : items) {
    if (!std::in_range<std::int32_t>(item)) {
      throw Error(ErrorCode::kCorruptFile,
                  fmt::format("entry {} is {}, beyond 32 bits", out.size(), item))
          .at(printable(key));
    }
    out.push_back(static_cast<std::int32_t>(item));
  }
  return out;
}

}  // namespace

void GgufMetadata::add(std::string key, GgufValue value) {
  if (key.empty()) throw Error(ErrorCode::kCorruptFile, "a metadata key is empty");
  if (!index_.emplace(key, pairs_.size()).second) {
    throw Error(ErrorCode::kCorruptFile, "the metadata key appears twice").at(printable(key));
  }
  pairs_.push_back({std::move(key), std::move(value)});
}

const GgufValue* GgufMetadata::find(std::string_view key) const noexcept {
  const auto found = index_.find(key);
  return found == index_.end() ? nullptr : &pairs_[found->second].value;
}

std::optional<std::uint64_t> GgufMetadata::find_unsigned(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  return std::visit(
      [&]<class T>(const T& number) -> std::uint64_t {
        if constexpr (kIsInteger<T>) {
          if (std::in_range<std::uint64_t>(number)) return static_cast<std::uint64_t>(number);
          throw Error(ErrorCode::kCorruptFile, fmt::format("is {}, below zero", number))
              .at(printable(key));
        } else {
          throw_wrong_type(key, *value, "an integer");
        }
      },
      *value);
}

std::optional<double> GgufMetadata::find_number(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  return std::visit(
      [&]<class T>(const T& number) -> double {
        if constexpr (kIsNumber<T>) {
          return static_cast<double>(number);
        } else {
          throw_wrong_type(key, *value, "a number");
        }
      },
      *value);
}

std::optional<bool> GgufMetadata::find_bool(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const bool* flag = std::get_if<bool>(value)) return *flag;
  throw_wrong_type(key, *value, "bool");
}

const std::string* GgufMetadata::find_string(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return nullptr;
  if (const auto* text = std::get_if<std::string>(value)) return text;
  throw_wrong_type(key, *value, "string");
}

const std::vector<std::string>* GgufMetadata::find_strings(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return nullptr;
  if (const auto* array = std::get_if<GgufArray>(value)) {
    if (const auto* texts = std::get_if<std::vector<std::string>>(array)) return texts;
  }
  throw_wrong_type(key, *value, "array of string");
}

std::optional<std::vector<std::int32_t>> GgufMetadata::find_integers(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* array = std::get_if<GgufArray>(value);
  if (array == nullptr) throw_wrong_type(key, *value, "an array of integers");
  return std::visit(
      [&]<class T>(const std::vector<T>& items) -> std::vector<std::int32_t> {
        if constexpr (kIsInteger<T>) {
          return narrow_items(key, items);
        } else {
          throw_wrong_type(key, *value, "an array of integers");
        }
      },
      *array);
}

}  // namespace pajamas::io
