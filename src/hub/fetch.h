// A model of the hub as a local path: from the cache, else downloaded.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>

#include "base/append_file.h"
#include "hub/client.h"
#include "hub/model_id.h"
#include "hub/settings.h"

namespace pajamas::hub {

enum class Need {
  kText,     // configuration and tokenizer
  kHeaders,  // these, and the names, shapes and types of the tensors
  kAll,
};

struct Fetched {
  std::filesystem::path path;  // a folder, or a GGUF file
  // With headers alone: a folder in which files have their full size but hold only their beginning.
  // `path` lies in it.
  std::optional<TemporaryFolder> temporary;
};

// Whether the beginning of a GGUF file, as far as it is there, holds the whole header.
using HeaderIsComplete = std::function<bool(const std::filesystem::path&)>;

// The hub is asked what the revision means now, unless it is a commit or `settings.offline` says
// why not; where it cannot be reached, what the cache has does, with a note. Throws
// Error{kNotFound, kNetwork, kNoSpace, kCorruptFile, kUnsupported, kUsage, kIo, kInterrupted}.
Fetched fetch(const Settings& settings, const ModelId& id, Need need,
              const HeaderIsComplete& header_is_complete, Watch watch);

}  // namespace pajamas::hub
