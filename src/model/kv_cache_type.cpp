#include "model/kv_cache_type.h"

#include "model/own_keys.h"

namespace pajamas::model {
namespace {

constexpr OwnKey kKvCache{kKvCacheKey, "kv_cache_type"};

}  // namespace

std::string read_kv_cache_type(const nlohmann::json& config) {
  return read_own_key(kKvCache, config);
}

std::string read_kv_cache_type(const io::GgufMetadata& metadata) {
  return read_own_key(kKvCache, metadata);
}

void write_kv_cache_type(const std::string& type, nlohmann::json& config) {
  write_own_key(kKvCache, type, config);
}

}  // namespace pajamas::model
