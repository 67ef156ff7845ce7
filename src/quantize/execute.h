// Doing what a plan says: one pass over the checkpoint, layer by layer, all outputs at once.
#pragma once

#include <cstdint>

#include "base/output.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "kernels/table.h"
#include "model/checkpoint.h"
#include "quantize/plan.h"

namespace pajamas::quantize {

struct ExecuteOptions {
  OutputOptions output;
  const kernels::KernelTable* kernels = nullptr;  // null: the best of this machine
};

// Checks that outputs may be written and fit the disk. Throws Error{kExists, kNoSpace}.
void check_outputs(const Plan& plan, OutputOptions options);

// Reads every weight once and writes every output. On any Error (a weight that is not finite, a
// full disk, a stop) nothing is left under the outputs' names or beside them.
void execute(const Plan& plan, const model::Checkpoint& checkpoint, const TaskPool& pool,
             Progress& progress, const StopFlag& stop, const ExecuteOptions& options);

// Memory that one worker needs for its piece of a tensor with rows of `cols` weights.
std::uint64_t worker_bytes(std::uint64_t cols) noexcept;

}  // namespace pajamas::quantize
