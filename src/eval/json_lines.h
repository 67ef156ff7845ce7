// Files of JSON lines, as question sets and completions come: plain, or compressed by gzip.
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/function_ref.h"

namespace pajamas::eval {

// `bytes`, or what gzip made them of. Throws Error{kCorruptFile} for a stream that is cut or
// broken, or becomes larger than kMaxTextBytes.
std::string inflated(std::string bytes);
// A file's text so. Throws as read_text_file does, too, and names the file.
std::string read_lines_file(const std::filesystem::path& path);

// Calls `each` with every object and the number of its line, from 1; empty lines are none. Throws
// Error{kCorruptFile} for a line that is no JSON object, and what `each` throws.
void for_each_line(std::string_view text,
                   FunctionRef<void(const nlohmann::json&, std::size_t)> each);

[[noreturn]] void bad_line(std::size_t line, std::string problem, std::string hint = {});
// The text at `key`. Throws Error{kCorruptFile} where there is none.
std::string text_at(const nlohmann::json& object, const std::string& key, std::size_t line);

}  // namespace pajamas::eval
