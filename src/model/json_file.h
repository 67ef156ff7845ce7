// JSON files of unknown origin.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "base/json.h"

namespace pajamas::model {

// Throws as parse_json does, naming the file; kNotFound, kIo as File::open.
nlohmann::json read_json_file(const std::filesystem::path& path);

// The same for a file that has to hold an object; an empty one where there is no such file.
nlohmann::json json_object_if_there(const std::filesystem::path& path);

}  // namespace pajamas::model
