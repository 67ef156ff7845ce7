// Facts: huggingface_hub 2.4, file_download.py, _snapshot_download.py and _tree_cache.py.
#include "hub/cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "base/append_file.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"

namespace pajamas::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxTreeBytes = 64u << 20;
constexpr std::string_view kTag =
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# Models of the Hugging Face hub; https://bford.info/cachedir/ says what this file is for.\n";

bool leads_somewhere(const fs::path& path) {
  std::error_code code;
  return fs::exists(path, code);  // what a link points to
}

void write_file(const fs::path& path, std::string_view text) {
  const fs::path partial = fmt::format("{}.{:08x}.tmp", path.native(), std::random_device{}());
  AppendFile file(partial);
  file.clear();
  file.append(as_byte_span(text));
  file.commit(path);
}

}  // namespace

Cache::Cache(const fs::path& root, const ModelId& id)
    : root_(root), name_(fmt::format("models--{}--{}", id.owner, id.name)), folder_(root / name_) {}

fs::path Cache::snapshot(const std::string& commit) const { return folder_ / "snapshots" / commit; }

fs::path Cache::blob(const RepoFile& file) const { return folder_ / "blobs" / file.digest; }

fs::path Cache::incomplete(const RepoFile& file) const {
  return folder_ / "blobs" / (file.digest + ".incomplete");
}

fs::path Cache::lock(const RepoFile& file) const {
  return root_ / ".locks" / name_ / (file.digest + ".lock");
}

std::optional<std::string> Cache::commit_of(const std::string& revision) const {
  if (is_commit(revision)) return revision;
  const fs::path reference = folder_ / "refs" / revision;
  std::error_code code;
  if (!fs::is_regular_file(reference, code)) return std::nullopt;
  std::string commit = read_text_file(reference, 4096);
  while (!commit.empty() && (commit.back() == '\n' || commit.back() == '\r')) commit.pop_back();
  if (!is_commit(commit)) return std::nullopt;
  return commit;
}

std::vector<std::string> Cache::files(const std::string& commit) const {
  std::vector<std::string> paths;
  const fs::path folder = snapshot(commit);
  if (!leads_somewhere(folder)) return paths;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    std::error_code code;
    if (!entry.is_regular_file(code)) continue;  // a link whose blob is gone, too
    paths.push_back(entry.path().lexically_relative(folder).generic_string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

bool Cache::has(const std::string& commit, std::string_view path) const {
  return leads_somewhere(snapshot(commit) / path);
}

bool Cache::known_absent(const std::string& commit, std::string_view path) const {
  return leads_somewhere(folder_ / ".no_exist" / commit / path);
}

std::optional<Listing> Cache::tree(const std::string& commit) const {
  const fs::path file = folder_ / "trees" / (commit + ".json");
  if (!leads_somewhere(file)) return std::nullopt;
  try {
    return parse_cached_tree(read_text_file(file, kMaxTreeBytes));
  } catch (const Error&) {  // only a convenience: the hub will tell
    return std::nullopt;
  }
}

void Cache::write_reference(const std::string& revision, const std::string& commit) const {
  if (is_commit(revision) || commit_of(revision) == commit) return;
  write_file(folder_ / "refs" / revision, commit);
}

void Cache::mark_absent(const std::string& commit, std::string_view path) const {
  if (known_absent(commit, path)) return;
  const fs::path mark = folder_ / ".no_exist" / commit / path;
  write_file(mark, "");
}

void Cache::link(const std::string& commit, const RepoFile& file) const {
  const fs::path target = snapshot(commit) / file.path;
  if (leads_somewhere(target)) return;
  const fs::path tag = root_ / "CACHEDIR.TAG";
  if (!leads_somewhere(tag)) write_file(tag, kTag);
  fs::create_directories(target.parent_path());
  std::error_code code;
  fs::remove(target, code);  // a link whose blob is gone
  fs::create_symlink(blob(file).lexically_relative(target.parent_path()), target, code);
  if (!code || code == std::errc::file_exists) return;
  fs::rename(blob(file), target);  // a file system without links, as huggingface_hub does
}

}  // namespace pajamas::hub
