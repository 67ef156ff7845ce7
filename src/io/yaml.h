// YAML of unknown origin, as the front matter of model cards is written.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace pajamas::io {

// The first document of a text, of whatever depth and size its bytes allow: objects, arrays,
// strings, and null for what is empty, `~` or `null` without quotes. All else without quotes is a
// string too: `no` is Norwegian, `1.10` a version. Of repeated keys the last counts, as in PyYAML.
// Throws Error{kCorruptFile} with line and column for what is no YAML, and kUnsupported for aliases
// (which let a short text stand for a huge one), keys that are no text, more than a hundred levels.
nlohmann::json parse_yaml(std::string_view text);

}  // namespace pajamas::io
