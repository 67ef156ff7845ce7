// What the machine has left: memory, disk, and how much of it this process took.
#pragma once

#include <cstdint>
#include <filesystem>

namespace pajamas {

// Largest resident set of this process so far, in bytes (mapped file pages count).
std::uint64_t peak_resident_bytes() noexcept;
// Resident set of this process now, in bytes (likewise).
std::uint64_t resident_bytes() noexcept;
// Anonymous memory resident now, in bytes: what no file backs.
std::uint64_t anonymous_bytes() noexcept;
// Physical memory of the machine, or the cgroup's limit where that is lower.
std::uint64_t memory_limit_bytes() noexcept;
// Memory that can be had without swapping, within the cgroup's limit; 0 where nothing tells.
std::uint64_t available_memory_bytes() noexcept;
// Bytes an unprivileged user can still write beside `path` (its nearest existing parent).
std::uint64_t free_disk_bytes(const std::filesystem::path& path);
// The home folder of the account that runs this; empty where the system knows none.
std::filesystem::path account_home();
// Processors this process may use; at least 1.
int usable_cpus() noexcept;
// Processes that wanted to run, on average over the last minute; negative where nothing tells.
double load_average() noexcept;
// Monotonic seconds since some fixed moment.
double seconds_now() noexcept;

}  // namespace pajamas
