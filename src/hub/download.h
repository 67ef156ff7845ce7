// Files of a repository into the cache: at the same time, in parts, resumed and checked.
#pragma once

#include <string>
#include <vector>

#include "hub/cache.h"
#include "hub/client.h"

namespace pajamas::hub {

// Downloads what has no blob yet and links all of `files` into the snapshot. A file's bytes arrive
// in `blobs/DIGEST.incomplete`, always a prefix of it, so that any process can continue it. Throws
// Error{kNoSpace} before anything is asked for where the disk cannot hold what is missing, and
// Error{kNetwork, kNotFound, kCorruptFile, kIo, kInterrupted}; what arrived stays.
void download(const Settings& settings, const ModelId& id, const Cache& cache,
              const std::string& commit, const std::vector<RepoFile>& files, Watch watch);

}  // namespace pajamas::hub
