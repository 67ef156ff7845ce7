// What `doctor` finds: the machine, the settings, and what to expect of well-known models.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>

#include "base/parallel.h"
#include "base/progress.h"
#include "cli/settings.h"
#include "runtime/engine_options.h"

namespace pajamas::cli {

struct DoctorQuestion {
  bool measure = true;            // bandwidths of memory and disks, which takes seconds
  runtime::EngineOptions engine;  // how models are to be run
};

// What is not known is null. Throws Error{kInterrupted}; nothing else that a machine can be.
nlohmann::ordered_json examine(const DoctorQuestion& question, const Settings& settings,
                               Progress& progress, const StopFlag& stop);

// The part of it about models: for each the most precise method that fits into `available` bytes
// of memory, and the rate that `bytes_per_second` allow; 0 for either: not known.
nlohmann::ordered_json expect_of_models(const runtime::EngineOptions& engine,
                                        std::uint64_t available, double bytes_per_second);

// For people, on standard output.
void print_report(const nlohmann::ordered_json& report);

}  // namespace pajamas::cli
