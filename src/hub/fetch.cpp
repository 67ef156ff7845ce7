#include "hub/fetch.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "hub/cache.h"
#include "hub/download.h"
#include "hub/headers.h"
#include "hub/select.h"

namespace pajamas::hub {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> paths_of(const Listing& files) {
  std::vector<std::string> paths;
  for (const auto& [path, file] : files) paths.push_back(path);
  return paths;
}

// The files of the weights, as the index in the cache names them if there is one. `files`: those
// of the repository, or null where only those of the cache are known.
std::vector<std::string> weights_of(const Cache& cache, const std::string& commit,
                                    const Selection& selection, const Listing* files) {
  if (!selection.indexed) return selection.weights;
  const fs::path folder = cache.snapshot(commit), index = folder / kIndexName;
  std::vector<std::string> shards;
  try {
    shards = with_context(printable(index.native(), 300),
                          [&] { return parse_index(read_text_file(index)); });
  } catch (const Error&) {
    if (selection.weights.empty()) throw;
    return selection.weights;
  }
  const auto cached = [&](const std::string& path) { return cache.has(commit, path); };
  if (selection.weights.empty()) return shards;
  // An earlier program fetched the shards: they are the model as well.
  if (!cached(kSingleName) && std::ranges::all_of(shards, cached)) return shards;
  return single_or_shards(
      selection.weights, shards, [&](const std::string& path) -> std::optional<std::uint64_t> {
        if (files == nullptr) {
          std::error_code code;
          const std::uint64_t size = fs::file_size(folder / path, code);
          return code ? std::nullopt : std::optional(size);
        }
        const auto at = files->find(path);
        return at == files->end() ? std::nullopt : std::optional(at->second.size);
      });
}

fs::path model_path(const Cache& cache, const std::string& commit, const Selection& selection) {
  const fs::path folder = cache.snapshot(commit);
  return selection.gguf ? folder / selection.weights.front() : folder;
}

class Fetch {
 public:
  Fetch(const Settings& settings, const ModelId& id, Need need,
        const HeaderIsComplete& header_is_complete, Watch watch)
      : settings_(settings),
        id_(id),
        need_(need),
        header_is_complete_(header_is_complete),
        watch_(watch),
        cache_(settings.cache, id) {}

  Fetched run() {
    Fetched fetched = find();
    if (!note_.empty()) watch_.progress.note(note_);
    return fetched;
  }

 private:
  Fetched find() {
    const std::optional<std::string> cached = cache_.commit_of(id_.revision);
    if (!settings_.offline.empty()) return offline(cached);
    if (cached && is_commit(id_.revision)) {
      if (auto path = in_cache(*cached, true)) return {std::move(*path), {}};
    }
    const bool fallback = cached && in_cache(*cached, false);
    try {
      // What the cache can give is not worth a long wait.
      Client client(settings_, id_, watch_, !fallback);
      const std::string commit = is_commit(id_.revision) ? id_.revision : client.commit();
      if (auto path = in_cache(commit, true)) {
        write_reference(commit);
        return {std::move(*path), {}};
      }
      if (fallback && commit != *cached) {
        watch_.progress.note(fmt::format("{} has changed since it was downloaded ({} is now {})",
                                         id_.repository(), id_.revision, commit.substr(0, 12)));
      }
      const std::optional<Listing> files = cache_.tree(commit);
      return complete(commit, files ? *files : client.files(commit));
    } catch (const MissingRevision&) {
      throw;
    } catch (const Error& error) {
      const bool unreachable =
          error.code() == ErrorCode::kNetwork || error.code() == ErrorCode::kNotFound;
      if (!fallback || !unreachable) throw;
      watch_.progress.note(fmt::format("the copy in the cache is used: {}", error.what()));
      return {*in_cache(*cached, false), {}};
    }
  }

  // Remembers what has to be told of the choice, for when it is final.
  Selection select(const std::vector<std::string>& paths) const {
    Selection selection = select_files(id_, paths);
    note_ = selection.note;
    return selection;
  }

  // The model as far as it is needed, if the cache has it. `surely`: nothing that the repository
  // may have besides is missing, as far as that can be known without asking.
  std::optional<fs::path> in_cache(const std::string& commit, bool surely) const {
    const std::optional<Listing> tree = cache_.tree(commit);
    try {
      if (surely && tree) return present(commit, select(paths_of(*tree)), &*tree);
      const std::vector<std::string> paths = cache_.files(commit);
      const bool text_only = need_ == Need::kText && id_.file.empty() && !paths.empty();
      Selection selection;
      if (text_only && cache_.has(commit, "tokenizer.json")) {
        selection.small = small_among(paths);
      } else {
        selection = select(paths);
      }
      if (surely && selection.gguf && id_.file.empty()) return std::nullopt;
      if (surely && !selection.gguf && !all_small_known(commit)) return std::nullopt;
      return present(commit, selection, nullptr);
    } catch (const Error&) {  // what is there is no model, not even a broken one
      return std::nullopt;
    }
  }

  bool all_small_known(const std::string& commit) const {
    return std::ranges::all_of(small_files(), [&](std::string_view name) {
      return cache_.has(commit, name) || cache_.known_absent(commit, name);
    });
  }

  std::optional<fs::path> present(const std::string& commit, const Selection& selection,
                                  const Listing* files) const {
    const auto has = [&](const std::string& path) { return cache_.has(commit, path); };
    if (!std::ranges::all_of(selection.small, has)) return std::nullopt;
    if (need_ != Need::kText || selection.gguf) {
      const auto weights = weights_of(cache_, commit, selection, files);
      if (!std::ranges::all_of(weights, has)) return std::nullopt;
    }
    return model_path(cache_, commit, selection);
  }

  Fetched offline(const std::optional<std::string>& commit) const {
    if (commit) {
      if (auto path = in_cache(*commit, false)) return {std::move(*path), {}};
    }
    const bool some = commit && !cache_.files(*commit).empty();
    throw Error(ErrorCode::kNotFound,
                fmt::format("there is no such file or folder here, and the hub's cache {} has {}",
                            printable(settings_.cache.native(), 200),
                            some ? "only a part of this model" : "no such model"),
                fmt::format("without {} it would be downloaded", settings_.offline));
  }

  // Only a convenience for the next time: a cache that we may not write is no hindrance.
  template <class Fn>
  static void if_possible(Fn&& fn) {
    try {
      fn();
    } catch (const std::exception&) {
    }
  }

  void write_reference(const std::string& commit) const {
    if_possible([&] { cache_.write_reference(id_.revision, commit); });
  }

  void mark_absent(const std::string& commit, const Listing& files) const {
    if_possible([&] {
      for (const std::string_view name : small_files()) {
        if (!files.contains(name)) cache_.mark_absent(commit, name);
      }
    });
  }

  std::vector<RepoFile> files_of(const Listing& files,
                                 const std::vector<std::string>& paths) const {
    std::vector<RepoFile> found;
    for (const std::string& path : paths) {
      const auto at = files.find(path);
      if (at == files.end()) {
        throw Error(ErrorCode::kCorruptFile,
                    fmt::format("{} names {}, the repository has no such file", kIndexName,
                                printable(path)),
                    "this model cannot be read");
      }
      found.push_back(at->second);
    }
    return found;
  }

  Fetched complete(const std::string& commit, const Listing& files) {
    const std::vector<std::string> paths = paths_of(files);
    const Selection selection = select(paths);
    if (selection.adapter) {
      watch_.progress.note(
          fmt::format("{} has an adapter beside the weights, which is not applied: merge it into "
                      "its base model first",
                      id_.repository()));
    }
    write_reference(commit);
    get(commit, files_of(files, selection.small));
    if (!selection.gguf) {
      mark_absent(commit, files);
      if (need_ == Need::kText) return {cache_.snapshot(commit), {}};
    }
    const std::vector<RepoFile> weights =
        files_of(files, weights_of(cache_, commit, selection, &files));
    if (need_ == Need::kAll) {
      get(commit, weights);
      return {model_path(cache_, commit, selection), {}};
    }
    if (auto path = present(commit, selection, &files)) return {std::move(*path), {}};
    HeaderFiles headers(settings_, id_, commit, cache_, watch_);
    headers.add_small(selection.small);
    if (selection.gguf) {
      headers.add_gguf(weights, header_is_complete_);
    } else {
      headers.add_safetensors(weights);
    }
    fs::path path = headers.snapshot();
    if (selection.gguf) path /= weights.front().path;
    return {std::move(path), std::move(headers).take_folder()};
  }

  void get(const std::string& commit, const std::vector<RepoFile>& files) const {
    download(settings_, id_, cache_, commit, files, watch_);
  }

  const Settings& settings_;
  const ModelId& id_;
  const Need need_;
  const HeaderIsComplete& header_is_complete_;
  Watch watch_;
  Cache cache_;
  mutable std::string note_;
};

}  // namespace

Fetched fetch(const Settings& settings, const ModelId& id, Need need,
              const HeaderIsComplete& header_is_complete, Watch watch) {
  return with_context(id.to_string(),
                      [&] { return Fetch(settings, id, need, header_is_complete, watch).run(); });
}

}  // namespace pajamas::hub
