#include "model/own_keys.h"

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace pajamas::model {
namespace {

constexpr const char* kObject = "llama_pajamas";

}  // namespace

std::string read_own_key(OwnKey key, const nlohmann::json& config) {
  const auto object = config.find(kObject);
  if (object == config.end() || !object->is_object()) return {};
  const auto text = object->find(key.name);
  if (text == object->end() || !text->is_string()) return {};
  return text->get<std::string>();
}

std::string read_own_key(OwnKey key, const io::GgufMetadata& metadata) {
  try {
    const std::string* text = metadata.find_string(key.gguf);
    return text == nullptr ? std::string() : *text;
  } catch (const Error&) {
    return {};
  }
}

void write_own_key(OwnKey key, const std::string& text, nlohmann::json& config) {
  const auto object = config.find(kObject);
  if (object != config.end() && object->is_object()) {
    object->erase(key.name);
    if (object->empty()) config.erase(kObject);
  }
  if (text.empty()) return;
  if (!config.contains(kObject) || !config[kObject].is_object()) {
    config[kObject] = nlohmann::json::object();
  }
  config[kObject][key.name] = text;
}

}  // namespace pajamas::model
