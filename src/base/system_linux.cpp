#ifdef __linux__
#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "base/system.h"

namespace pajamas {
namespace {

// The value in KiB of a `Key:   123 kB` line of a file, in bytes; 0 without one.
std::uint64_t bytes_of_line(const char* path, std::string_view key) noexcept {
  try {
    std::ifstream status(path);
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with(key)) return std::stoull(line.substr(key.size() + 1)) * 1024;
    }
  } catch (const std::exception&) {
  }
  return 0;
}

std::uint64_t status_bytes(std::string_view key) noexcept {
  return bytes_of_line("/proc/self/status", key);
}

// Control groups as both versions of the kernel's interface have them.
struct GroupVersion {
  std::string_view controller;  // of the line in /proc/self/cgroup; version 2 names none
  const char* root;
  const char* limit;
  const char* used;
  const char* cached[2];  // lines of memory.stat
};
constexpr GroupVersion kGroupVersions[] = {
    {"", "/sys/fs/cgroup", "memory.max", "memory.current", {"inactive_file", "active_file"}},
    {"memory",
     "/sys/fs/cgroup/memory",
     "memory.limit_in_bytes",
     "memory.usage_in_bytes",
     {"total_inactive_file", "total_active_file"}}};

// The path behind "NUMBER:CONTROLLERS:" of a line that is about this version; empty: it is not.
std::string group_of_line(std::string_view line, const GroupVersion& version) {
  const std::size_t first = line.find(':');
  const std::size_t second = line.find(':', first + 1);
  if (first == line.npos || second == line.npos) return {};
  const std::string names = fmt::format(",{},", line.substr(first + 1, second - first - 1));
  if (names.find(fmt::format(",{},", version.controller)) == names.npos) return {};
  return std::string(line.substr(second + 1));
}

// Calls visit(file) with the file called `name` of this process's control group and of every group
// around it.
template <class Visit>
void for_each_cgroup(const GroupVersion& version, const char* name, Visit&& visit) noexcept {
  try {
    std::ifstream self("/proc/self/cgroup");
    for (std::string line; std::getline(self, line);) {
      const std::string path = group_of_line(line, version);
      if (path.empty()) continue;
      for (std::filesystem::path group = path;; group = group.parent_path()) {
        std::ifstream file(version.root + group.native() + "/" + name);
        visit(file);
        if (!group.has_relative_path()) break;
      }
    }
  } catch (const std::exception&) {
  }
}

std::uint64_t cgroup_memory() noexcept {
  std::uint64_t lowest = UINT64_MAX;
  for (const GroupVersion& version : kGroupVersions) {
    for_each_cgroup(version, version.limit, [&](std::istream& file) {
      std::uint64_t bytes = 0;
      if (file >> bytes) lowest = std::min(lowest, bytes);  // "max" does not parse
    });
  }
  return lowest;
}

// What the tightest group around this process leaves of its limit. Cached file pages give way.
std::uint64_t cgroup_available(const GroupVersion& version) noexcept {
  std::vector<std::uint64_t> limits, used, cached;
  for_each_cgroup(version, version.limit, [&](std::istream& file) {
    std::uint64_t bytes = UINT64_MAX;
    if (!(file >> bytes)) bytes = UINT64_MAX;
    limits.push_back(bytes);
  });
  for_each_cgroup(version, version.used, [&](std::istream& file) {
    std::uint64_t bytes = 0;
    used.push_back(file >> bytes ? bytes : 0);
  });
  for_each_cgroup(version, "memory.stat", [&](std::istream& file) {
    std::uint64_t value = 0, pages = 0;
    for (std::string key; file >> key >> value;) {
      if (key == version.cached[0] || key == version.cached[1]) pages += value;
    }
    cached.push_back(pages);
  });
  std::uint64_t lowest = UINT64_MAX;
  for (std::size_t i = 0; i < std::min({limits.size(), used.size(), cached.size()}); ++i) {
    if (limits[i] == UINT64_MAX) continue;
    const std::uint64_t taken = used[i] - std::min(used[i], cached[i]);
    lowest = std::min(lowest, limits[i] - std::min(limits[i], taken));
  }
  return lowest;
}

// Processors that the group's quota is worth, rounded up.
int cgroup_cpus() noexcept {
  std::uint64_t lowest = INT32_MAX;
  for_each_cgroup(kGroupVersions[0], "cpu.max", [&](std::istream& file) {
    std::uint64_t quota = 0, period = 0;
    if (file >> quota >> period && period > 0) {
      lowest = std::min(lowest, std::max<std::uint64_t>(1, (quota + period - 1) / period));
    }
  });
  return static_cast<int>(lowest);
}

}  // namespace

std::uint64_t peak_resident_bytes() noexcept {
  // getrusage would count what the parent had resident when it forked.
  if (const std::uint64_t peak = status_bytes("VmHWM:"); peak != 0) return peak;
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

std::uint64_t resident_bytes() noexcept { return status_bytes("VmRSS:"); }

std::uint64_t anonymous_bytes() noexcept { return status_bytes("RssAnon:"); }

std::uint64_t memory_limit_bytes() noexcept {
  const auto pages = static_cast<std::uint64_t>(std::max(0L, ::sysconf(_SC_PHYS_PAGES)));
  const auto page = static_cast<std::uint64_t>(std::max(1L, ::sysconf(_SC_PAGESIZE)));
  return std::min(pages * page, cgroup_memory());
}

std::uint64_t available_memory_bytes() noexcept {
  const std::uint64_t machine = bytes_of_line("/proc/meminfo", "MemAvailable:");
  if (machine == 0) return 0;
  return std::min(
      {machine, cgroup_available(kGroupVersions[0]), cgroup_available(kGroupVersions[1])});
}

int usable_cpus() noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, std::min(CPU_COUNT(&set), cgroup_cpus()));
}

}  // namespace pajamas
#endif
