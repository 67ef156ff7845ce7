// What the machine is made of, as far as the operating system tells; what it does not tell stays
// empty or 0.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/parallel.h"

namespace pajamas {

struct Processor {
  std::string model;
  int cores = 0;                       // physical ones
  int threads = 0;                     // logical processors
  std::uint64_t last_level_cache = 0;  // bytes; of all of them together
};
Processor processor();

struct Gpu {
  std::string name;
  std::uint64_t memory_bytes = 0;
};
// Those whose drivers tell of them in /proc and /sys (NVIDIA, AMD).
std::vector<Gpu> gpus();

// A buffer that the caches of `cpu` do not hold, of memory that is there to be had (`available`
// bytes; 0: not known); 0 where there is not so much.
std::uint64_t uncached_buffer_bytes(const Processor& cpu, std::uint64_t available) noexcept;
// Bytes a second that all threads of the pool together read from memory: the best of several passes
// over a buffer of `bytes`, for about `seconds`. Give more than the caches hold.
double memory_bandwidth(const TaskPool& pool, std::uint64_t bytes, double seconds,
                        const StopFlag& stop);

struct DiskRates {
  double write = 0;  // bytes a second, with what it takes to be on the disk
  double read = 0;
  bool direct = false;  // past the page cache; otherwise reading may have been from memory
};
// Writes `bytes` (a multiple of 4 MiB) into a file of the folder that has no name, and reads them.
// Nothing is left, even by a killed process. Throws Error{kIo}, Error{kNoSpace}, Error{kNotFound}.
DiskRates disk_rates(const std::filesystem::path& folder, std::uint64_t bytes,
                     const StopFlag& stop);

}  // namespace pajamas
