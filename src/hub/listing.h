// What files a repository has, as the hub says it and as huggingface_hub keeps it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace pajamas::hub {

struct RepoFile {
  std::string path;  // safe (is_safe_path)
  std::uint64_t size = 0;
  std::string digest;  // SHA-256 where `large`, else git's SHA-1; hexadecimal, names the blob
  bool large = false;  // kept outside of git (LFS)
};

// Those that the names of files can be looked up in.
using Listing = std::map<std::string, RepoFile, std::less<>>;

// All of these read text of unknown origin. What is no ordinary file is left out. Throw
// Error{kCorruptFile} for what has not the form.

// The commit of an answer to /api/models/ID/revision/REVISION.
std::string parse_commit(std::string_view text);
// Adds the files of one page of /api/models/ID/tree/COMMIT?recursive=true.
void parse_tree(std::string_view text, Listing& files);
// `trees/COMMIT.json` of huggingface_hub's cache (2.x).
Listing parse_cached_tree(std::string_view text);
// The shards that model.safetensors.index.json names, in ascending order.
std::vector<std::string> parse_index(std::string_view text);

}  // namespace pajamas::hub
