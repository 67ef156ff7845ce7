// What a benchmark found, as JSON and CSV. The text for people is cli/'s.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/speed.h"
#include "runtime/engine_options.h"

namespace pajamas::bench {

// Where it was measured; what is not known is null. Keys: processor, cores, usable_processors,
// memory_bytes, memory_read_bytes_per_second, load_average, kernels, threads, version, date.
// `bytes_per_second` 0: not measured.
nlohmann::ordered_json machine_json(const runtime::EngineOptions& options, double bytes_per_second,
                                    double load_before, std::string_view version);

struct SpeedReport {
  std::string model;
  std::string backend;
  std::vector<DepthResult> results;
  std::vector<MemorySample> memory;
  double load_seconds = 0;
  std::uint64_t peak_memory_bytes = 0;
  std::optional<std::uint64_t> library_peak_bytes;  // Engine::library_peak_bytes
  double bytes_per_second = 0;                      // that memory gives; 0: not measured
  bool partial = false;                             // somebody stopped it
  SpeedQuestion question;
};

// {model, backend, machine, results: [...], load_seconds, peak_memory_bytes, memory_over_time:
// [{seconds, resident_bytes}]}, "library_peak_bytes" where there is a counter, and "partial": true
// where it was stopped.
nlohmann::ordered_json to_json(const SpeedReport& report, const runtime::EngineOptions& options,
                               nlohmann::ordered_json machine);

// A line of names and one a result: model, backend, then the keys of the JSON's results.
std::string to_csv(const SpeedReport& report, const runtime::EngineOptions& options);

}  // namespace pajamas::bench
