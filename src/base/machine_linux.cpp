#ifdef __linux__
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/machine.h"

namespace pajamas {
namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  while (!line.empty() && (line.back() == '\0' || line.back() == ' ')) line.pop_back();
  return line;
}

// Folders of `parent` whose names are `prefix` and a number.
std::vector<fs::path> numbered(const fs::path& parent, std::string_view prefix) {
  std::vector<fs::path> found;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(parent, code)) {
    const std::string name = entry.path().filename();
    if (name.starts_with(prefix) && name.size() > prefix.size() &&
        std::all_of(name.begin() + static_cast<std::ptrdiff_t>(prefix.size()), name.end(),
                    [](char c) { return c >= '0' && c <= '9'; })) {
      found.push_back(entry.path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("model name")) continue;
    const auto colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return first_line("/sys/firmware/devicetree/base/model");  // ARM boards
}

// "32768K" in bytes.
std::uint64_t size_of(const std::string& text) {
  try {
    std::size_t used = 0;
    const std::uint64_t number = std::stoull(text, &used);
    const char unit = used < text.size() ? text[used] : ' ';
    return unit == 'K' ? number << 10 : unit == 'M' ? number << 20 : number;
  } catch (const std::exception&) {
    return 0;
  }
}

}  // namespace

Processor processor() {
  Processor found;
  found.model = processor_name();
  std::set<std::string> cores;
  std::map<std::string, std::uint64_t> caches;  // by the processors that share one
  int deepest = 0;
  for (const fs::path& cpu : numbered("/sys/devices/system/cpu", "cpu")) {
    ++found.threads;
    const std::string core = first_line(cpu / "topology/core_id");
    if (!core.empty()) cores.insert(first_line(cpu / "topology/physical_package_id") + ":" + core);
    for (const fs::path& cache : numbered(cpu / "cache", "index")) {
      const int level = static_cast<int>(size_of(first_line(cache / "level")));
      if (level < deepest) continue;
      if (level > deepest) caches.clear();
      deepest = level;
      caches[first_line(cache / "shared_cpu_list")] = size_of(first_line(cache / "size"));
    }
  }
  found.cores = static_cast<int>(cores.size());
  for (const auto& [shared, bytes] : caches) found.last_level_cache += bytes;
  return found;
}

std::vector<Gpu> gpus() {
  std::vector<Gpu> found;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator("/proc/driver/nvidia/gpus", code)) {
    std::ifstream information(entry.path() / "information");
    for (std::string line; std::getline(information, line);) {
      if (!line.starts_with("Model:")) continue;
      const auto start = line.find_first_not_of(" \t", 6);
      if (start != std::string::npos) found.push_back({line.substr(start), 0});
    }
  }
  for (const fs::path& card : numbered("/sys/class/drm", "card")) {
    constexpr std::string_view kAmd = "0x1002";
    if (first_line(card / "device/vendor") != kAmd) continue;
    const std::string name = first_line(card / "device/product_name");
    found.push_back({name.empty() ? "AMD " + first_line(card / "device/device") : name,
                     size_of(first_line(card / "device/mem_info_vram_total"))});
  }
  return found;
}

}  // namespace pajamas
#endif
