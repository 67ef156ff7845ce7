#include "model/hparams.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_numbers.h"

namespace pajamas::model {
namespace {

using nlohmann::json;

[[noreturn]] void throw_bad(std::string_view key, std::string_view problem) {
  throw Error(ErrorCode::kCorruptFile, std::string(problem), "take config from the published model")
      .at(key);
}

std::uint64_t checked_count(std::string_view key, const json& value, std::uint64_t most) {
  if (!value.is_number_integer()) {
    throw_bad(key, fmt::format("must be a whole number, is {}", shown(value)));
  }
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() == 0 ||
      value.get<std::uint64_t>() > most) {
    throw_bad(key, fmt::format("must lie between 1 and {}, is {}", most, shown(value)));
  }
  return value.get<std::uint64_t>();
}

}  // namespace

std::string shown(const json& value) {
  if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    return dump_json(value, -1);
  }
  return printable(value.dump(-1, ' ', false, json::error_handler_t::replace), 40);
}

JsonParams::JsonParams(const json& config) : config_(config) {
  if (!config.is_object()) {
    throw Error(ErrorCode::kCorruptFile, "is not a JSON object");
  }
}

const json* JsonParams::find(const char* key) const {
  const auto found = config_.find(key);
  if (found == config_.end() || found->is_null()) return nullptr;
  return &*found;
}

bool JsonParams::has(const char* key) const { return find(key) != nullptr; }

std::uint64_t JsonParams::count(const char* key, std::uint64_t most) const {
  const json* value = find(key);
  if (value == nullptr) throw_bad(key, "is missing");
  return checked_count(key, *value, most);
}

std::uint64_t JsonParams::count_or(const char* key, std::uint64_t most,
                                   std::uint64_t otherwise) const {
  const json* value = find(key);
  return value == nullptr ? otherwise : checked_count(key, *value, most);
}

std::uint64_t JsonParams::index_or(const char* key, std::uint64_t otherwise) const {
  const json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_number_unsigned()) {
    throw_bad(key, fmt::format("must be a whole number from 0, is {}", shown(*value)));
  }
  return value->get<std::uint64_t>();
}

double JsonParams::number(const char* key) const {
  const json* value = find(key);
  if (value == nullptr) throw_bad(key, "is missing");
  if (!value->is_number() || !std::isfinite(value->get<double>())) {
    throw_bad(key, fmt::format("must be a finite number, is {}", shown(*value)));
  }
  return value->get<double>();
}

bool JsonParams::flag_or(const char* key, bool otherwise) const {
  const json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean())
    throw_bad(key, fmt::format("must be true or false, is {}", shown(*value)));
  return value->get<bool>();
}

std::string JsonParams::text_or(const char* key, std::string otherwise) const {
  const json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_string()) throw_bad(key, fmt::format("must be text, is {}", shown(*value)));
  return value->get<std::string>();
}

GgufParams::GgufParams(const io::GgufMetadata& metadata, std::string_view architecture)
    : metadata_(metadata), prefix_(fmt::format("{}.", architecture)) {}

std::string GgufParams::key(std::string_view suffix) const {
  return fmt::format("{}{}", prefix_, suffix);
}

std::uint64_t GgufParams::count(std::string_view suffix, std::uint64_t most) const {
  const auto value = metadata_.find_unsigned(key(suffix));
  if (!value) throw_bad(key(suffix), "is missing");
  if (*value == 0 || *value > most) {
    throw_bad(key(suffix), fmt::format("must lie between 1 and {}, is {}", most, *value));
  }
  return *value;
}

std::uint64_t GgufParams::count_or(std::string_view suffix, std::uint64_t most,
                                   std::uint64_t otherwise) const {
  return metadata_.find(key(suffix)) == nullptr ? otherwise : count(suffix, most);
}

double GgufParams::number(std::string_view suffix) const {
  const auto value = metadata_.find_number(key(suffix));
  if (!value) throw_bad(key(suffix), "is missing");
  if (!std::isfinite(*value)) throw_bad(key(suffix), "is not a finite number");
  return *value;
}

double GgufParams::number_or(std::string_view suffix, double otherwise) const {
  return metadata_.find(key(suffix)) == nullptr ? otherwise : number(suffix);
}

std::string GgufParams::text_or(std::string_view suffix, std::string otherwise) const {
  const std::string* value = metadata_.find_string(key(suffix));
  return value == nullptr ? otherwise : *value;
}

void check_config(const ModelConfig& config, const ConfigKeys& keys) {
  if (config.heads % config.kv_heads != 0) {
    throw_bad(keys.kv_heads, fmt::format("{} attention heads cannot share {} key/value heads",
                                         config.heads, config.kv_heads));
  }
  if (config.head_dim % 2 != 0) {
    throw_bad(keys.head_dim,
              fmt::format("a head dimension of {} is odd: it cannot be rotated", config.head_dim));
  }
  if (config.q_rows() > kMaxWidth) {
    throw_bad(keys.head_dim,
              fmt::format("{} heads of {} are too wide", config.heads, config.head_dim));
  }
  if (!(config.rope_theta > 0)) {
    throw_bad(keys.rope_theta, fmt::format("{} is not positive", config.rope_theta));
  }
  if (!(config.norm_eps >= 0) || config.norm_eps > 1) {
    throw_bad(keys.norm_eps, fmt::format("{} does not lie between 0 and 1", config.norm_eps));
  }
}

}  // namespace pajamas::model
