// What an upload says to a hub and what it is told, as text; nothing here asks anybody.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pajamas::hub {

// A file on its way to a repository.
struct LocalFile {
  std::string path;  // in the repository; safe (is_safe_path)
  std::filesystem::path source;
  std::uint64_t size = 0;
  std::int64_t modified = 0;  // nanoseconds
  // Of what the hub decides: whether it goes to the store of large files, or into the commit.
  bool large = false;
  bool ignored = false;  // by a .gitignore of the repository
  std::string digest;    // SHA-256 where `large`, else git's SHA-1
};

// Objects with "error" of a batch, others with what is to be done: nothing where the store has it.
struct StoreAction {
  std::string url;
  std::vector<std::string> headers;  // "NAME: VALUE"
};
struct StoreObject {
  std::string digest;
  std::uint64_t size = 0;
  std::optional<StoreAction> upload;     // of one piece; of several it is told that all are there
  std::optional<StoreAction> verify;     // is told that it is there
  std::uint64_t part_bytes = 0;          // 0: one piece
  std::vector<std::string> part_urls{};  // in their order
};

std::string create_text(std::string_view owner, std::string_view name, bool is_private);
// Of 256 files at most. `samples`: the beginning of each, 512 bytes at most.
std::string preupload_text(std::span<const LocalFile> files, std::span<const std::string> samples);
std::string batch_text(std::string_view revision, std::span<const LocalFile* const> files);
std::string verify_text(std::string_view digest, std::uint64_t size);
std::string completion_text(std::string_view digest, std::span<const std::string> etags);

// A commit is lines of JSON: this, then one for each file.
std::string commit_head(std::string_view summary);
std::string commit_line(const LocalFile& file, std::string_view content);  // content unless `large`

// All of these read text of unknown origin and throw Error{kCorruptFile} for what has not the form.

// Fills in what the hub decides. Throws too where a file is missing from the answer.
void parse_preupload(std::string_view text, std::span<LocalFile> files);
// Throws Error{kNetwork} with the store's words for an object that it refuses.
std::vector<StoreObject> parse_batch(std::string_view text);
// The id of the commit that was made.
std::string parse_made_commit(std::string_view text);
// Whether the repository that an answer to /api/models/ID is of is private.
bool parse_is_private(std::string_view text);

}  // namespace pajamas::hub
