#include "hub/listing.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "hub/model_id.h"

namespace pajamas::hub {
namespace {

using nlohmann::json;

[[noreturn]] void throw_bad(const char* what) {
  throw Error(ErrorCode::kCorruptFile, what, "is HF_ENDPOINT a hub? try again later");
}

json parse(std::string_view text, const char* what) {
  json parsed = json::parse(text, nullptr, false);
  if (parsed.is_discarded()) throw_bad(what);
  return parsed;
}

std::string text_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

const json* number_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? &*found : nullptr;
}

bool is_hexadecimal(std::string_view text, std::size_t digits) {
  return text.size() == digits && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// A file whose size or checksum is unknown cannot be checked; it is as if it were not there.
void add(Listing& files, std::string path, const std::string& sha1, const json* size,
         const std::string& sha256, const json* large_size) {
  RepoFile file;
  file.path = std::move(path);
  file.large = !sha256.empty();
  file.digest = file.large ? sha256 : sha1;
  const json* bytes = file.large && large_size != nullptr ? large_size : size;
  if (!is_safe_path(file.path) || !is_hexadecimal(file.digest, file.large ? 64 : 40) ||
      bytes == nullptr || bytes->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
    return;
  }
  file.size = bytes->get<std::uint64_t>();
  files.insert_or_assign(file.path, file);
}

}  // namespace

std::string parse_commit(std::string_view text) {
  const json parsed = parse(text, "the hub's answer is not JSON");
  std::string commit = parsed.is_object() ? text_of(parsed, "sha") : std::string();
  if (!is_commit(commit)) throw_bad("the hub's answer names no commit");
  return commit;
}

void parse_tree(std::string_view text, Listing& files) {
  const json parsed = parse(text, "the hub's list of files is not JSON");
  if (!parsed.is_array()) throw_bad("the hub's list of files is no list");
  for (const json& entry : parsed) {
    if (!entry.is_object() || text_of(entry, "type") != "file") continue;
    const auto lfs = entry.find("lfs");
    const bool large = lfs != entry.end() && lfs->is_object();
    std::string sha256 = large ? text_of(*lfs, "oid") : std::string();
    if (sha256.starts_with("sha256:")) sha256.erase(0, 7);
    if (large && sha256.empty()) continue;
    add(files, text_of(entry, "path"), text_of(entry, "oid"), number_of(entry, "size"), sha256,
        large ? number_of(*lfs, "size") : nullptr);
  }
}

Listing parse_cached_tree(std::string_view text) {
  Listing files;
  const json parsed = parse_json(text);
  const auto entries = parsed.is_object() ? parsed.find("files") : parsed.end();
  if (!parsed.is_object() || entries == parsed.end() || !entries->is_object()) {
    throw_bad("lists no files");
  }
  for (const auto& [path, entry] : entries->items()) {
    if (!entry.is_object()) continue;
    const std::string sha256 = text_of(entry, "lfs_sha256");
    add(files, path, text_of(entry, "blob_id"), number_of(entry, "size"), sha256,
        number_of(entry, "lfs_size"));
  }
  return files;
}

std::vector<std::string> parse_index(std::string_view text) {
  const json parsed = parse_json(text);
  const auto map = parsed.is_object() ? parsed.find("weight_map") : parsed.end();
  if (!parsed.is_object() || map == parsed.end() || !map->is_object()) {
    throw Error(ErrorCode::kCorruptFile, "has no \"weight_map\"", "this model cannot be read");
  }
  std::set<std::string> shards;
  for (const json& shard : *map) {
    if (!shard.is_string() || !is_safe_path(shard.get_ref<const std::string&>()) ||
        shard.get_ref<const std::string&>().find('/') != std::string::npos) {
      throw Error(ErrorCode::kCorruptFile, "names a shard that is no file of this folder",
                  "this model cannot be read");
    }
    shards.insert(shard.get<std::string>());
  }
  return {shards.begin(), shards.end()};
}

}  // namespace pajamas::hub
