#include "base/machine.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/system.h"
#include "base/unnamed_file.h"

namespace pajamas {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kBlock = 4u << 20;  // one write or read of the disk, one task of a thread
constexpr std::size_t kAlignment = 4096;    // what reading past the page cache demands

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

// Sums of all words of a block, in eight chains so that no addition waits for another.
std::uint64_t sum(const std::uint64_t* words, std::size_t count) {
  std::uint64_t sums[8] = {};
  for (std::size_t i = 0; i + 8 <= count; i += 8) {
    for (std::size_t j = 0; j < 8; ++j) sums[j] += words[i + j];
  }
  std::uint64_t total = 0;
  for (const std::uint64_t each : sums) total += each;
  return total;
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

std::uint64_t uncached_buffer_bytes(const Processor& cpu, std::uint64_t available) noexcept {
  constexpr std::uint64_t kSmallest = 256u << 20;
  constexpr std::uint64_t kLargest = std::uint64_t{1} << 30;
  constexpr std::uint64_t kCachesOver = 4;
  const std::uint64_t wanted = std::clamp(kCachesOver * cpu.last_level_cache, kSmallest, kLargest);
  return available == 0 || wanted <= available / 2 ? wanted : 0;
}

double memory_bandwidth(const TaskPool& pool, std::uint64_t bytes, double seconds,
                        const StopFlag& stop) {
  const std::uint64_t blocks = std::max<std::uint64_t>(1, bytes / kBlock);
  constexpr std::size_t kWords = kBlock / sizeof(std::uint64_t);
  // Not initialised here: each page belongs to the thread that writes it first.
  const std::unique_ptr<std::uint64_t[]> words(new std::uint64_t[blocks * kWords]);
  pool.for_ranges(blocks, 1, [&](std::uint64_t first, std::uint64_t last) {
    std::fill(&words[first * kWords], words.get() + last * kWords, first);
  });
  std::atomic<std::uint64_t> total{0};  // of all sums, so that none is left out
  double best = 0;
  const double end = seconds_now() + seconds;
  do {
    stop.check();
    const double began = seconds_now();
    pool.for_ranges(blocks, 1, [&](std::uint64_t first, std::uint64_t last) {
      total += sum(&words[first * kWords], (last - first) * kWords);
    });
    best = std::max(best, static_cast<double>(blocks * kBlock) / (seconds_now() - began));
  } while (seconds_now() < end);
  return best;
}

DiskRates disk_rates(const fs::path& folder, std::uint64_t bytes, const StopFlag& stop) {
  UnnamedFile file(folder, UnnamedFile::Caching::kDirect);
  const std::unique_ptr<void, void (*)(void*)> buffer(std::aligned_alloc(kAlignment, kBlock),
                                                      std::free);
  if (!buffer) throw std::bad_alloc();
  // Numbers without pattern, so that no layer below compresses them.
  std::uint64_t state = 0x9E3779B97F4A7C15;
  auto* words = static_cast<std::uint64_t*>(buffer.get());
  const std::span block(static_cast<std::byte*>(buffer.get()), kBlock);
  for (std::size_t i = 0; i < kBlock / sizeof(*words); ++i) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    words[i] = state;
  }
  const double began = seconds_now();
  for (std::uint64_t at = 0; at < bytes; at += kBlock) {
    stop.check();
    words[0] = at;
    file.write_at(at, block);
  }
  file.sync();
  const double written = seconds_now();
  for (std::uint64_t at = 0; at < bytes; at += kBlock) {
    stop.check();
    file.read_at(at, block);
  }
  const double read = seconds_now();
  const auto amount = static_cast<double>(bytes);
  return {amount / (written - began), amount / (read - written), file.is_direct()};
}

}  // namespace pajamas
