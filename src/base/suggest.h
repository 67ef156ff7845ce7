// The name somebody probably meant.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace pajamas {

// Single-character insertions, deletions and replacements, and swaps of neighbours, that make one
// name of the other; case is ignored.
std::size_t edit_distance(std::string_view a, std::string_view b);

// The candidate that `name` was probably meant to be: the one with the fewest edits where those are
// at most a third of its characters, else the only one that begins with `name`; else nothing.
std::optional<std::string_view> closest_name(std::string_view name,
                                             std::span<const std::string_view> candidates);

// "did you mean quantize? ", or nothing where no candidate is close: the start of a hint.
std::string did_you_mean(std::string_view name, std::span<const std::string_view> candidates);

// What lies in the folder of a path that does not exist and has a name close to it, with that
// folder; never throws.
std::optional<std::filesystem::path> closest_sibling(const std::filesystem::path& path) noexcept;
std::string did_you_mean_path(const std::filesystem::path& path);

}  // namespace pajamas
