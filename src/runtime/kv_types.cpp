#include "runtime/kv_types.h"

namespace pajamas::runtime {

std::optional<KvType> kv_type_by_name(std::string_view name) noexcept {
  for (const KvTypeInfo& type : kKvTypes) {
    if (type.name == name) return type.id;
  }
  return std::nullopt;
}

}  // namespace pajamas::runtime
