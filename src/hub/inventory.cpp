#include "hub/inventory.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/file_lock.h"
#include "base/place.h"
#include "hub/cache.h"

namespace pajamas::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kModels = "models--";
constexpr std::string_view kIncomplete = ".incomplete";

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code code;
  for (fs::directory_iterator at(folder, code), end; !code && at != end; at.increment(code)) {
    found.push_back(at->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// Links point to what is counted already.
void count_bytes(CachedRepository& repository) {
  std::error_code code;
  fs::recursive_directory_iterator at(repository.folder, code), end;
  for (; !code && at != end; at.increment(code)) {
    std::error_code ignored;
    if (at->is_symlink(ignored) || !at->is_regular_file(ignored)) continue;
    const std::uintmax_t size = at->file_size(ignored);
    if (ignored) continue;
    repository.bytes += size;
    if (at->path().native().ends_with(kIncomplete)) repository.unfinished += size;
  }
}

fs::path snapshot_of(const fs::path& cache, const ModelId& id, const fs::path& folder) {
  std::error_code code;
  if (const auto commit = Cache(cache, id).commit_of(id.revision)) {
    fs::path main = folder / "snapshots" / *commit;
    if (fs::is_directory(main, code)) return main;
  }
  fs::path newest;
  fs::file_time_type latest;
  for (const fs::path& snapshot : entries(folder / "snapshots")) {
    if (!fs::is_directory(snapshot, code)) continue;
    const auto time = fs::last_write_time(snapshot, code);
    if (newest.empty() || (!code && time > latest)) {
      newest = snapshot;
      latest = time;
    }
  }
  return newest;
}

// Nobody downloads these files while this is held.
std::vector<FileLock> lock_all(const fs::path& cache, const fs::path& folder, const ModelId& id) {
  std::vector<FileLock> locks;
  for (const fs::path& file : entries(cache / ".locks" / folder.filename())) {
    std::optional<FileLock> lock = FileLock::try_acquire(file);
    if (!lock) {
      throw Error(ErrorCode::kExists, "is being downloaded by another process",
                  "wait for it or stop it, then run this again")
          .at(id.repository());
    }
    locks.push_back(std::move(*lock));
  }
  return locks;
}

void require_there(const fs::path& folder, const ModelId& id) {
  std::error_code code;
  if (fs::is_directory(folder, code)) return;
  throw Error(ErrorCode::kNotFound, "is not in the hub's cache", "`models` lists what is there")
      .at(id.repository());
}

void remove_or_throw(const fs::path& path) {
  std::error_code code;
  fs::remove_all(path, code);
  if (code) throw Error(ErrorCode::kIo, code.message()).at(place_of(path));
}

// Blobs that a link in some snapshot leads to.
std::set<fs::path> used_blobs(const fs::path& folder) {
  std::set<fs::path> used;
  std::error_code code;
  fs::recursive_directory_iterator at(folder / "snapshots", code), end;
  for (; !code && at != end; at.increment(code)) {
    std::error_code ignored;
    if (!at->is_symlink(ignored)) continue;
    const fs::path target = fs::read_symlink(at->path(), ignored);
    if (!ignored) used.insert((at->path().parent_path() / target).lexically_normal().filename());
  }
  return used;
}

}  // namespace

std::vector<CachedRepository> cached_repositories(const fs::path& cache) {
  std::vector<CachedRepository> found;
  for (const fs::path& folder : entries(cache)) {
    std::error_code code;
    std::string name = folder.filename();
    if (!name.starts_with(kModels) || !fs::is_directory(folder, code)) continue;
    name.erase(0, kModels.size());
    const std::size_t dashes = name.find("--");
    if (dashes != std::string::npos) name.replace(dashes, 2, "/");
    CachedRepository repository{.name = name, .folder = folder, .snapshot = {}};
    count_bytes(repository);
    if (const auto id = parse_model_id(name)) {
      repository.snapshot = snapshot_of(cache, *id, folder);
    }
    found.push_back(std::move(repository));
  }
  return found;
}

void remove_repository(const fs::path& cache, const ModelId& id) {
  const fs::path folder = Cache(cache, id).folder();
  require_there(folder, id);
  const std::vector<FileLock> locks = lock_all(cache, folder, id);
  remove_or_throw(folder);
  remove_or_throw(cache / ".locks" / folder.filename());
}

void remove_files(const fs::path& cache, const ModelId& id, const std::vector<std::string>& paths) {
  const fs::path folder = Cache(cache, id).folder();
  require_there(folder, id);
  const std::vector<FileLock> locks = lock_all(cache, folder, id);
  std::set<fs::path> candidates;
  for (const fs::path& snapshot : entries(folder / "snapshots")) {
    for (const std::string& path : paths) {
      std::error_code code;
      const fs::path link = snapshot / path;
      const fs::path target = fs::read_symlink(link, code);
      if (!code) candidates.insert(target.filename());
      remove_or_throw(link);
    }
  }
  const std::set<fs::path> used = used_blobs(folder);
  for (const fs::path& blob : candidates) {
    if (!used.contains(blob)) remove_or_throw(folder / "blobs" / blob);
  }
}

}  // namespace pajamas::hub
