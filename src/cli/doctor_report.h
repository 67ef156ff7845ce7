// What `doctor` finds: the machine, the settings, and what to expect of well-known models.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

#include "base/parallel.h"
#include "base/progress.h"
#include "cli/settings.h"
#include "kernels/table.h"
#include "runtime/native/kv_type.h"

namespace pajamas::cli {

struct DoctorQuestion {
  bool measure = true;  // bandwidths of memory and disks, which takes seconds
  std::uint64_t context = 4096;
  runtime::KvType kv_type = runtime::KvType::kF32;
};

// What is not known is null. Throws Error{kInterrupted}; nothing else that a machine can be.
nlohmann::ordered_json examine(const DoctorQuestion& question, const Settings& settings,
                               const TaskPool& pool, const kernels::KernelTable& kernels,
                               Progress& progress, const StopFlag& stop);

// The part of it about models: for each the most precise method that fits into `available` bytes
// of memory, and the rate that `bytes_per_second` allow; 0 for either: not known.
nlohmann::ordered_json expect_of_models(const DoctorQuestion& question, std::uint64_t available,
                                        double bytes_per_second);

// For people, on standard output.
void print_report(const nlohmann::ordered_json& report);

}  // namespace pajamas::cli
