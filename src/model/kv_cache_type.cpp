#include "model/kv_cache_type.h"

#include <nlohmann/json.hpp>

namespace pajamas::model {
namespace {

// As the key of GGUF, in parts.
constexpr const char* kObject = "llama_pajamas";
constexpr const char* kName = "kv_cache_type";

}  // namespace

std::string read_kv_cache_type(const nlohmann::json& config) {
  const auto object = config.find(kObject);
  if (object == config.end() || !object->is_object()) return {};
  const auto type = object->find(kName);
  if (type == object->end() || !type->is_string()) return {};
  return type->get<std::string>();
}

std::string read_kv_cache_type(const io::GgufMetadata& metadata) {
  const std::string* text = metadata.find_string(kKvCacheKey);
  return text == nullptr ? std::string() : *text;
}

void write_kv_cache_type(const std::string& type, nlohmann::json& config) {
  const auto object = config.find(kObject);
  if (object != config.end() && object->is_object()) {
    object->erase(kName);
    if (object->empty()) config.erase(kObject);
  }
  if (type.empty()) return;
  if (!config.contains(kObject) || !config[kObject].is_object()) {
    config[kObject] = nlohmann::json::object();
  }
  config[kObject][kName] = type;
}

}  // namespace pajamas::model
