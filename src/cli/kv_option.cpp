#include "cli/kv_option.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/suggest.h"
#include "cli/terminal.h"
#include "runtime/native/kv_cache.h"

namespace pajamas::cli {
namespace {

constexpr std::uint64_t kDefaultContext = 4096;

std::string all_types() {
  std::string names;
  for (const runtime::KvTypeInfo& type : runtime::kKvTypes) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", type.name);
  }
  return names;
}

}  // namespace

void add_kv_cache_option(CLI::App& command, std::string& name, std::string_view standard) {
  command
      .add_option("--kv-cache", name,
                  fmt::format("Store keys and values as: {} (default: {})", all_types(), standard))
      ->type_name("TYPE");
}

runtime::KvType kv_type_of(const std::string& name) {
  if (const auto type = runtime::kv_type_by_name(name)) return *type;
  std::vector<std::string_view> names;
  for (const runtime::KvTypeInfo& type : runtime::kKvTypes) names.push_back(type.name);
  throw Error(ErrorCode::kUsage, fmt::format("there is no cache type \"{}\"", printable(name, 40)),
              fmt::format("{}give one of {}", did_you_mean(name, names), all_types()))
      .at("--kv-cache");
}

std::uint64_t default_context(const model::ModelConfig& config) {
  return std::min(config.context_length, kDefaultContext);
}

std::string kv_cache_text(const model::ModelConfig& config, std::uint64_t context,
                          runtime::KvType type) {
  return fmt::format("{}, {} for {} tokens", runtime::info(type).name,
                     readable_bytes(runtime::KvCache::bytes_for(config, context, type)),
                     with_thousands(context));
}

}  // namespace pajamas::cli
