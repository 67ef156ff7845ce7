// Reading hyperparameters of unknown origin: every value is checked for type and range, and every
// error names its key.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "io/gguf.h"
#include "model/config.h"

namespace pajamas::model {

// Bounds far above any published model and far below what could overflow a product of four.
inline constexpr std::uint64_t kMaxLayers = 1 << 12;
inline constexpr std::uint64_t kMaxHeads = 1 << 14;
inline constexpr std::uint64_t kMaxExperts = 1 << 14;
inline constexpr std::uint64_t kMaxWidth = 1 << 24;
inline constexpr std::uint64_t kMaxContext = std::uint64_t{1} << 31;

// A value as it stands in a file, short enough for a message.
std::string shown(const nlohmann::json& value);

// The keys of a config.json. Absent and null are the same.
class JsonParams {
 public:
  explicit JsonParams(const nlohmann::json& config);

  bool has(const char* key) const;
  std::uint64_t count(const char* key, std::uint64_t most) const;  // 1..most, must be there
  std::uint64_t count_or(const char* key, std::uint64_t most, std::uint64_t otherwise) const;
  std::uint64_t index_or(const char* key, std::uint64_t otherwise) const;  // 0 or more
  double number(const char* key) const;                                    // finite, must be there
  bool flag_or(const char* key, bool otherwise) const;
  std::string text_or(const char* key, std::string otherwise) const;
  const nlohmann::json* find(const char* key) const;

 private:
  const nlohmann::json& config_;
};

// The keys `ARCH.*` of GGUF metadata.
class GgufParams {
 public:
  GgufParams(const io::GgufMetadata& metadata, std::string_view architecture);

  std::string key(std::string_view suffix) const;
  std::uint64_t count(std::string_view suffix, std::uint64_t most) const;
  std::uint64_t count_or(std::string_view suffix, std::uint64_t most,
                         std::uint64_t otherwise) const;
  double number(std::string_view suffix) const;
  double number_or(std::string_view suffix, double otherwise) const;
  std::string text_or(std::string_view suffix, std::string otherwise) const;

 private:
  const io::GgufMetadata& metadata_;
  std::string prefix_;
};

// What a source of hyperparameters calls those that `check_config` judges.
struct ConfigKeys {
  std::string kv_heads;
  std::string head_dim;
  std::string rope_theta;
  std::string norm_eps;
};

// Checks what must hold between the values of any transformer of this family: heads divide, the
// head dimension is even, theta and epsilon are positive. Errors name the key.
void check_config(const ModelConfig& config, const ConfigKeys& keys);

}  // namespace pajamas::model
