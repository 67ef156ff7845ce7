// The cache of one model's files, in the layout that huggingface_hub uses and shares.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/listing.h"
#include "hub/model_id.h"

namespace pajamas::hub {

// models--OWNER--NAME/: blobs/DIGEST is content, refs/REVISION a commit, and
// snapshots/COMMIT/PATH a relative link to a blob. `.no_exist/COMMIT/PATH` marks what a commit has
// not.
class Cache {
 public:
  Cache(const std::filesystem::path& root, const ModelId& id);

  const std::filesystem::path& folder() const noexcept { return folder_; }
  std::filesystem::path snapshot(const std::string& commit) const;
  std::filesystem::path blob(const RepoFile& file) const;
  std::filesystem::path incomplete(const RepoFile& file) const;
  std::filesystem::path lock(const RepoFile& file) const;

  // The commit that `revision` meant when it was last asked for; itself, where it is one.
  std::optional<std::string> commit_of(const std::string& revision) const;
  // Every file that a snapshot has, in ascending order; none without one.
  std::vector<std::string> files(const std::string& commit) const;
  bool has(const std::string& commit, std::string_view path) const;
  bool known_absent(const std::string& commit, std::string_view path) const;
  // What huggingface_hub wrote down of the commit's files.
  std::optional<Listing> tree(const std::string& commit) const;

  // These write, and throw what the file system does. A reference that is right already is left.
  void write_reference(const std::string& revision, const std::string& commit) const;
  void mark_absent(const std::string& commit, std::string_view path) const;
  // Puts a blob that is there into the snapshot.
  void link(const std::string& commit, const RepoFile& file) const;

 private:
  std::filesystem::path root_;
  std::string name_;
  std::filesystem::path folder_;
};

}  // namespace pajamas::hub
