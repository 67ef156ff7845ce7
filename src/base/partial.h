// The unfinished form of an output: its name, its lock, what a killed process left of one, and the
// step that gives it its final name. For base/output.cpp only.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace pajamas::internal {

// Whether an errno means that the disk, the quota, or what one file may have is used up.
bool is_lack_of_space(int code) noexcept;
// Throws Error{kNoSpace} for what means a full disk, kIo for the rest; `code` is an errno.
[[noreturn]] void throw_write_error(const std::filesystem::path& path, std::string_view what,
                                    int code);

std::filesystem::path parent_of(const std::filesystem::path& path);
// `.NAME.partial-PID` beside `path`.
std::filesystem::path partial_name(const std::filesystem::path& path);

// Creates the folder that `path` lies in, with all above it, durably. Returns those that were not
// there, from the top.
std::vector<std::filesystem::path> create_parents(const std::filesystem::path& path);
// Removes such folders again as far as they are empty.
void remove_parents(const std::vector<std::filesystem::path>& created) noexcept;
void sync_folder(const std::filesystem::path& folder);

// Marks a partial file or folder as in use for as long as `fd` is open. False where somebody else
// has marked or removed it meanwhile.
bool lock_partial(int fd) noexcept;

// Removes partial files and folders for `path` that no living process works on.
void remove_stale_partials(const std::filesystem::path& path) noexcept;

// Gives `partial` its final name. Without `replace`, a name taken meanwhile is not overwritten;
// with it, what stood there is exchanged in one step and removed afterwards.
void rename_into_place(const std::filesystem::path& partial, const std::filesystem::path& path,
                       bool replace);

}  // namespace pajamas::internal
