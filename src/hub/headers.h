// Files of a repository of which only the beginning is fetched: enough to plan, not to run.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/append_file.h"
#include "hub/cache.h"
#include "hub/client.h"
#include "hub/fetch.h"

namespace pajamas::hub {

// A temporary folder in the form of a snapshot of the cache, outside of it so that nobody takes its
// files for whole ones: each has its full size, its beginning, and a hole behind that.
class HeaderFiles {
 public:
  HeaderFiles(const Settings& settings, const ModelId& id, const std::string& commit,
              const Cache& cache, Watch watch);

  const std::filesystem::path& snapshot() const noexcept { return snapshot_; }
  TemporaryFolder take_folder() && { return std::move(folder_); }

  // Files that the cache has.
  void add_small(const std::vector<std::string>& paths) const;
  // Each up to the end of its header.
  void add_safetensors(const std::vector<RepoFile>& files) const;
  // The parts of one model, each up to where the reader is content.
  void add_gguf(const std::vector<RepoFile>& files, const HeaderIsComplete& is_complete) const;

 private:
  void link(const std::string& path) const;
  // Those that the cache has are linked; the others are returned.
  std::vector<RepoFile> missing(const std::vector<RepoFile>& files) const;
  // Fetches [from, to) of each file (as far as it has that) and writes it.
  void extend(const std::vector<RepoFile>& files, const std::vector<ByteRange>& ranges) const;

  const Settings& settings_;
  const ModelId& id_;
  const std::string& commit_;
  const Cache& cache_;
  Watch watch_;
  TemporaryFolder folder_;
  std::filesystem::path snapshot_;
};

}  // namespace pajamas::hub
