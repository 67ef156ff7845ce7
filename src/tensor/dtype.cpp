#include "tensor/dtype.h"

#include <algorithm>
#include <cctype>

namespace pajamas {
namespace {

template <class Predicate>
std::optional<DType> find_dtype(Predicate&& predicate) noexcept {
  const auto found = std::find_if(kDTypes.begin(), kDTypes.end(), predicate);
  if (found == kDTypes.end()) return std::nullopt;
  return found->id;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::toupper(x) == std::toupper(y);
  });
}

}  // namespace

std::optional<DType> dtype_by_name(std::string_view name) noexcept {
  return find_dtype([&](const DTypeInfo& row) { return equal_ignoring_case(row.name, name); });
}

std::optional<DType> dtype_by_gguf_id(std::uint32_t id) noexcept {
  return find_dtype([&](const DTypeInfo& row) {
    return row.gguf_id >= 0 && static_cast<std::uint32_t>(row.gguf_id) == id;
  });
}

std::optional<DType> dtype_by_safetensors_name(std::string_view name) noexcept {
  return find_dtype(
      [&](const DTypeInfo& row) { return !row.safetensors.empty() && row.safetensors == name; });
}

}  // namespace pajamas
