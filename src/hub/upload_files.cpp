#include "hub/upload_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/output.h"
#include "hub/digest.h"
#include "hub/model_id.h"

namespace pajamas::hub {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t kDigestBytes = 4u << 20;
constexpr const char* kKept = ".cache/llama-pajamas/sha256.json";
constexpr int kDeepest = 32;

std::int64_t time_of(const fs::path& path) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             fs::last_write_time(path).time_since_epoch())
      .count();
}

void collect(const fs::path& folder, const std::string& prefix, int depth,
             std::vector<LocalFile>& files, std::vector<std::string>& hidden) {
  if (depth > kDeepest) {
    throw Error(ErrorCode::kUnsupported, "folders lie too deep in each other", "move them up")
        .at(printable(folder.native(), 300));
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    const std::string path = prefix + name;
    if (name.starts_with('.') && path != ".gitattributes") {
      hidden.push_back(path);
      continue;
    }
    if (entry.is_directory() && !entry.is_symlink()) {
      collect(entry.path(), path + "/", depth + 1, files, hidden);
    } else if (entry.is_regular_file()) {
      if (!is_safe_path(path)) {
        throw Error(ErrorCode::kUnsupported, "is no name of a file in a repository", "rename it")
            .at(printable(path, 300));
      }
      files.push_back({.path = path,
                       .source = entry.path(),
                       .size = entry.file_size(),
                       .modified = time_of(entry.path()),
                       .digest = {}});
    }
  }
}

// What was computed before, as far as it is legible.
json kept_digests(const fs::path& folder) {
  try {
    json kept = parse_json(read_text_file(folder / kKept));
    return kept.is_object() ? kept : json::object();
  } catch (const Error&) {
    return json::object();
  }
}

std::string kept_digest(const json& kept, const LocalFile& file) {
  const auto found = kept.find(file.path);
  if (found == kept.end() || !found->is_object()) return {};
  const auto digest = found->find("sha256");
  const bool same = found->value("size", json()) == json(file.size) &&
                    found->value("modified", json()) == json(file.modified);
  return same && digest != found->end() && digest->is_string() ? digest->get<std::string>() : "";
}

// A convenience for the next time: a folder that we may not write is no hindrance.
void keep_digests(const fs::path& folder, const std::vector<LocalFile>& files) {
  json kept = json::object();
  for (const LocalFile& file : files) {
    if (!file.large || file.digest.empty()) continue;
    kept[file.path] = {{"size", file.size}, {"modified", file.modified}, {"sha256", file.digest}};
  }
  try {
    const std::string text = kept.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
    OutputFile output(folder / kKept, text.size(), {.replace = true});
    output.write_at(0, std::as_bytes(std::span(text)));
    output.commit();
  } catch (const std::exception&) {
  }
}

std::string digest_of(const LocalFile& file, Progress& progress, const StopFlag& stop) {
  Digest digest = file.large ? Digest::sha256() : Digest::git_blob(file.size);
  const File opened = File::open(file.source);
  std::vector<std::byte> piece(std::min<std::uint64_t>(kDigestBytes, file.size));
  for (std::uint64_t at = 0; at < file.size; at += piece.size()) {
    stop.check();
    const auto bytes =
        std::span(piece).first(std::min<std::uint64_t>(piece.size(), file.size - at));
    with_context(printable(file.path), [&] { opened.read_at(at, bytes); });
    digest.update(bytes);
    progress.advance(bytes.size());
  }
  return digest.finish();
}

}  // namespace

std::vector<LocalFile> files_to_upload(const fs::path& folder, std::vector<std::string>& hidden) {
  std::vector<LocalFile> files;
  std::error_code code;
  if (!fs::is_directory(folder, code)) {
    throw Error(ErrorCode::kNotFound, "there is no such folder",
                "give the folder that is to be the repository")
        .at(printable(folder.native(), 300));
  }
  collect(folder, "", 0, files, hidden);
  std::ranges::sort(files, {}, &LocalFile::path);
  std::ranges::sort(hidden);
  if (!files.empty()) return files;
  throw Error(ErrorCode::kNotFound, "there is no file in this folder", "nothing is to be uploaded")
      .at(printable(folder.native(), 300));
}

void add_digests(const fs::path& folder, std::vector<LocalFile>& files, Progress& progress,
                 const StopFlag& stop) {
  const json kept = kept_digests(folder);
  std::uint64_t bytes = 0;
  for (LocalFile& file : files) {
    if (file.large) file.digest = kept_digest(kept, file);
    if (file.digest.empty()) bytes += file.size;
  }
  bool any = false;
  progress.begin("computing checksums", bytes, "B");
  for (LocalFile& file : files) {
    if (!file.digest.empty()) continue;
    file.digest = digest_of(file, progress, stop);
    any |= file.large;
  }
  progress.end();
  if (any) keep_digests(folder, files);
}

void require_unchanged(const LocalFile& file) {
  std::error_code code;
  const std::uint64_t size = fs::file_size(file.source, code);
  if (!code && size == file.size && time_of(file.source) == file.modified) return;
  throw Error(ErrorCode::kIo, "changed while it was uploaded", "run the same command again")
      .at(printable(file.path));
}

}  // namespace pajamas::hub
