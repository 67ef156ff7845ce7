// JSON files of unknown origin.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

namespace pajamas::model {

// Numbers that are not finite are read as Python writes them (base/json_numbers.h).
// Throws Error{kCorruptFile} that says where the text stops being JSON.
nlohmann::json parse_json(std::string_view text);

// The same for a whole file, which the error names; kNotFound, kIo as File::open.
nlohmann::json read_json_file(const std::filesystem::path& path);

// The same for a file that has to hold an object; an empty one where there is no such file.
nlohmann::json json_object_if_there(const std::filesystem::path& path);

}  // namespace pajamas::model
