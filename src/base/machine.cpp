#include "base/machine.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
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
