// Facts: huggingface_hub 2.4, lfs.py, _commit_api.py, hf_api.py (create_repo); git-lfs,
// docs/api/batch.md.
#include "hub/upload_text.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "hub/http_text.h"

namespace pajamas::hub {
namespace {

using nlohmann::json;

constexpr std::uint64_t kMostParts = 100'000;

[[noreturn]] void throw_no_answer(const char* what) {
  throw Error(ErrorCode::kCorruptFile, fmt::format("the hub's answer has no {}", what),
              "is HF_ENDPOINT a hub?");
}

json answer_of(std::string_view text) {
  try {
    return parse_json(text);
  } catch (const Error& error) {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("the hub's answer {}", printable(error.problem(), 200)),
                "is HF_ENDPOINT a hub?");
  }
}

// In UTF-8 whatever file names hold.
std::string dumped(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int length = ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                       reinterpret_cast<const unsigned char*>(bytes.data()),
                                       static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(length));
  return text;
}

// No line end may make two headers of one.
bool is_header(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c != 0x7f; });
}

std::optional<StoreAction> action_of(const json& actions, const char* name, StoreObject* parts) {
  const auto found = actions.find(name);
  if (found == actions.end() || found->is_null()) return std::nullopt;
  if (!found->is_object() || !found->contains("href") || !(*found)["href"].is_string()) {
    throw_no_answer("address for a file");
  }
  StoreAction action{.url = (*found)["href"], .headers = {}};
  if (origin_of(action.url).empty() || !is_header(action.url)) {
    throw_no_answer("http address for a file");
  }
  std::map<std::uint64_t, std::string> urls;
  const auto headers = found->find("header");
  if (headers == found->end() || !headers->is_object()) return action;
  for (const auto& [key, value] : headers->items()) {
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    if (!is_header(key) || !is_header(text)) throw_no_answer("proper header for a file");
    if (parts != nullptr && key == "chunk_size") {
      parts->part_bytes = parse_number(text).value_or(0);
      if (parts->part_bytes == 0) throw_no_answer("size of a file's parts");
    } else if (const auto number = parse_number(key); parts != nullptr && number) {
      if (origin_of(text).empty()) throw_no_answer("http address for a part");
      urls.emplace(*number, text);
    } else {
      action.headers.push_back(key + ": " + text);
    }
  }
  if (parts == nullptr || parts->part_bytes == 0) return action;
  const std::uint64_t count = (parts->size + parts->part_bytes - 1) / parts->part_bytes;
  if (count > kMostParts || urls.size() != count) throw_no_answer("address for each part");
  for (auto& [number, url] : urls) parts->part_urls.push_back(std::move(url));
  return action;
}

}  // namespace

std::string create_text(std::string_view owner, std::string_view name, bool is_private) {
  json body = {{"name", name}, {"organization", owner}, {"type", "model"}};
  body["visibility"] = is_private ? "private" : "public";
  return dumped(body);
}

std::string preupload_text(std::span<const LocalFile> files, std::span<const std::string> samples) {
  json list = json::array();
  for (std::size_t i = 0; i < files.size(); ++i) {
    list.push_back(
        {{"path", files[i].path}, {"sample", base64(samples[i])}, {"size", files[i].size}});
  }
  return dumped({{"files", std::move(list)}});
}

std::string batch_text(std::string_view revision, std::span<const LocalFile* const> files) {
  json objects = json::array();
  for (const LocalFile* file : files) {
    objects.push_back({{"oid", file->digest}, {"size", file->size}});
  }
  return dumped({{"operation", "upload"},
                 {"transfers", {"basic", "multipart"}},
                 {"objects", std::move(objects)},
                 {"hash_algo", "sha256"},
                 {"ref", {{"name", revision}}}});
}

std::string verify_text(std::string_view digest, std::uint64_t size) {
  return dumped({{"oid", digest}, {"size", size}});
}

std::string completion_text(std::string_view digest, std::span<const std::string> etags) {
  json parts = json::array();
  for (const std::string& etag : etags) {
    parts.push_back({{"partNumber", parts.size() + 1}, {"etag", etag}});
  }
  return dumped({{"oid", digest}, {"parts", std::move(parts)}});
}

std::string commit_head(std::string_view summary) {
  return dumped({{"key", "header"}, {"value", {{"summary", summary}, {"description", ""}}}}) + "\n";
}

std::string commit_line(const LocalFile& file, std::string_view content) {
  if (!file.large) {
    return dumped({{"key", "file"},
                   {"value",
                    {{"content", base64(content)}, {"path", file.path}, {"encoding", "base64"}}}}) +
           "\n";
  }
  return dumped({{"key", "lfsFile"},
                 {"value",
                  {{"path", file.path},
                   {"algo", "sha256"},
                   {"oid", file.digest},
                   {"size", file.size}}}}) +
         "\n";
}

void parse_preupload(std::string_view text, std::span<LocalFile> files) {
  const json answer = answer_of(text);
  if (!answer.is_object() || !answer.contains("files") || !answer["files"].is_array()) {
    throw_no_answer("files");
  }
  std::map<std::string, const json*> found;
  for (const json& entry : answer["files"]) {
    if (!entry.is_object() || !entry.contains("path") || !entry["path"].is_string()) continue;
    found.emplace(entry["path"].get<std::string>(), &entry);
  }
  for (LocalFile& file : files) {
    const auto at = found.find(file.path);
    if (at == found.end()) throw_no_answer("word on each file");
    const json& entry = *at->second;
    const auto mode = entry.find("uploadMode");
    if (mode == entry.end() || (*mode != "lfs" && *mode != "regular")) {
      throw_no_answer("way to upload a file");
    }
    file.large = *mode == "lfs" && file.size > 0;  // the store takes nothing that is empty
    const auto ignored = entry.find("shouldIgnore");
    file.ignored = ignored != entry.end() && ignored->is_boolean() && ignored->get<bool>();
  }
}

std::vector<StoreObject> parse_batch(std::string_view text) {
  const json answer = answer_of(text);
  if (!answer.is_object() || !answer.contains("objects") || !answer["objects"].is_array()) {
    throw_no_answer("objects");
  }
  std::vector<StoreObject> objects;
  for (const json& entry : answer["objects"]) {
    if (!entry.is_object() || !entry.contains("oid") || !entry["oid"].is_string() ||
        !entry.contains("size") || !entry["size"].is_number_unsigned()) {
      throw_no_answer("object of the form of one");
    }
    StoreObject object{.digest = entry["oid"], .size = entry["size"], .upload = {}, .verify = {}};
    if (const auto error = entry.find("error"); error != entry.end() && error->is_object()) {
      const auto message = error->find("message");
      throw Error(
          ErrorCode::kNetwork,
          fmt::format("the hub refuses the file with SHA-256 {}: {}", printable(object.digest, 64),
                      message != error->end() && message->is_string()
                          ? printable(message->get<std::string>(), 200)
                          : "it does not say why"),
          "see the limits of your account on the hub");
    }
    if (const auto actions = entry.find("actions");
        actions != entry.end() && actions->is_object()) {
      object.upload = action_of(*actions, "upload", &object);
      object.verify = action_of(*actions, "verify", nullptr);
    }
    objects.push_back(std::move(object));
  }
  return objects;
}

std::string parse_made_commit(std::string_view text) {
  const json answer = answer_of(text);
  if (!answer.is_object() || !answer.contains("commitOid") || !answer["commitOid"].is_string()) {
    throw_no_answer("commit");
  }
  return answer["commitOid"];
}

bool parse_is_private(std::string_view text) {
  const json answer = answer_of(text);
  if (!answer.is_object() || !answer.contains("private") || !answer["private"].is_boolean()) {
    throw_no_answer("word on who may see it");
  }
  return answer["private"];
}

}  // namespace pajamas::hub
