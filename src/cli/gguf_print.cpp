#include "cli/gguf_print.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>

#include "base/error.h"
#include "cli/terminal.h"
#include "io/gguf_values.h"
#include "text/utf8.h"

namespace pajamas::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kShownItems = 6;
constexpr std::size_t kShownBytes = 120;

template <class T>
ordered_json json_of(const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    return text::utf8_lossy(value);
  } else if constexpr (std::is_floating_point_v<T>) {
    return std::isfinite(value) ? ordered_json(value) : ordered_json();
  } else {
    return value;
  }
}

ordered_json value_json(const io::GgufValue& value) {
  return std::visit(
      [](const auto& held) -> ordered_json {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, io::GgufArray>) {
          return std::visit(
              [](const auto& items) {
                ordered_json all = ordered_json::array();
                for (auto&& item : items) {
                  all.push_back(json_of<typename std::decay_t<decltype(items)>::value_type>(item));
                }
                return all;
              },
              held);
        } else {
          return json_of(held);
        }
      },
      value);
}

template <class T>
std::string text_of(const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    return printable(value, kShownBytes);
  } else {
    return fmt::format("{}", value);
  }
}

std::string value_text(const io::GgufValue& value) {
  return std::visit(
      [](const auto& held) -> std::string {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, io::GgufArray>) {
          return std::visit(
              [](const auto& items) {
                using Item = typename std::decay_t<decltype(items)>::value_type;
                std::string text;
                for (std::size_t i = 0; i < std::min(items.size(), kShownItems); ++i) {
                  text += (i == 0 ? "" : ", ") + text_of<Item>(items[i]);
                }
                return fmt::format("[{}{}] ({})", text, items.size() > kShownItems ? ", ..." : "",
                                   with_thousands(items.size()));
              },
              held);
        } else {
          return text_of(held);
        }
      },
      value);
}

}  // namespace

ordered_json metadata_json(const io::GgufMetadata& metadata) {
  ordered_json all = ordered_json::array();
  for (const io::GgufPair& pair : metadata.pairs()) {
    all.push_back({{"key", text::utf8_lossy(pair.key)},
                   {"type", io::type_name(pair.value)},
                   {"value", value_json(pair.value)}});
  }
  return all;
}

void print_metadata(const io::GgufMetadata& metadata) {
  std::size_t key_width = 3;
  std::size_t type_width = 4;
  for (const io::GgufPair& pair : metadata.pairs()) {
    key_width = std::max(key_width, printable(pair.key).size());
    type_width = std::max(type_width, io::type_name(pair.value).size());
  }
  for (const io::GgufPair& pair : metadata.pairs()) {
    fmt::print("{:<{}}  {:<{}}  {}\n", printable(pair.key), key_width, io::type_name(pair.value),
               type_width, value_text(pair.value));
  }
}

}  // namespace pajamas::cli
