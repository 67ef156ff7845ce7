// A folder as a commit of a repository on the hub.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "hub/client.h"
#include "hub/upload_text.h"

namespace pajamas::hub {

struct UploadOptions {
  std::filesystem::path folder;
  bool is_private = false;  // what is made; where there is a repository, it must be
  bool dry_run = false;     // asks and computes, and sends nothing
  std::string summary;      // of the commit
};

enum class FileState : std::uint8_t {
  kSent,       // or, of a dry run, to be sent
  kInStore,    // its content was in the store already
  kUnchanged,  // the repository has it
  kIgnored,    // by a .gitignore of the repository
};

struct UploadReport {
  struct File {
    std::string path;
    std::uint64_t size = 0;
    FileState state = FileState::kSent;
  };
  std::vector<File> files;
  bool creates = false;  // there was no repository
  std::string commit;    // empty: nothing was to be done, or a dry run
};

// Asks the hub what it has, sends what is missing, and makes one commit of it, so that others see
// all of it or nothing. Run again after a failure, it goes on: what the store has is not sent
// again. Nothing in the repository is removed. Throws Error{kUsage, kNotFound, kNetwork, kIo,
// kUnsupported, kCorruptFile, kInterrupted}.
UploadReport upload(const Settings& settings, const ModelId& id, const UploadOptions& options,
                    Watch watch);

}  // namespace pajamas::hub
