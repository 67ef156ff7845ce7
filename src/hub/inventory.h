// What the cache holds, and taking models out of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "hub/model_id.h"

namespace pajamas::hub {

struct CachedRepository {
  std::string name;                // owner/name
  std::filesystem::path folder;    // models--OWNER--NAME
  std::uint64_t bytes = 0;         // on the disk, of all revisions and of unfinished downloads
  std::uint64_t unfinished = 0;    // of these, bytes of downloads that were broken off
  std::filesystem::path snapshot;  // of main, else the only or newest one; empty: there is none
};

// By name, in ascending order; nothing where there is no cache. What is no model is left out.
std::vector<CachedRepository> cached_repositories(const std::filesystem::path& cache);

// Removes a whole repository from the cache. Throws Error{kNotFound} where the cache has it not,
// Error{kExists} while another process downloads it, and Error{kIo}.
void remove_repository(const std::filesystem::path& cache, const ModelId& id);

// Removes files of a repository's snapshots (paths as the repository has them) and the blobs that
// nothing else refers to. Throws likewise.
void remove_files(const std::filesystem::path& cache, const ModelId& id,
                  const std::vector<std::string>& paths);

}  // namespace pajamas::hub
