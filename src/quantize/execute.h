// Doing what a plan says: one pass over the checkpoint, layer by layer, all outputs at once.
#pragma once

#include <cstdint>
#include <vector>

#include "base/output.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "kernels/table.h"
#include "model/checkpoint.h"
#include "quantize/encoder.h"
#include "quantize/plan.h"

namespace pajamas::quantize {

struct ExecuteOptions {
  OutputOptions output;
  const kernels::KernelTable* kernels = nullptr;  // null: the best of this machine
  EncoderSource* encoders = nullptr;              // null: NormGainEncoders
};

// Checks that outputs may be written and fit the disk. Throws Error{kExists, kNoSpace}.
void check_outputs(const Plan& plan, OutputOptions options);

// Where the time went: seconds of all workers together for each stage. Decoding and encoding take
// at most `wall` times the number of threads; reading and writing go on beside them.
struct ExecuteStats {
  double read = 0;             // waiting for the checkpoint's files
  double decode = 0;           // and looking for weights that are not finite
  std::vector<double> encode;  // one an output of the plan
  std::vector<double> write;   // likewise
  double sync = 0;             // after the last weight, by one thread
  double wall = 0;
};

// Reads every weight once and writes every output: the embedding, the layers in their order, the
// output matrix. On any Error (a weight that is not finite, a
// full disk, a stop) nothing is left under the outputs' names or beside them.
ExecuteStats execute(const Plan& plan, const model::Checkpoint& checkpoint, const TaskPool& pool,
                     Progress& progress, const StopFlag& stop, const ExecuteOptions& options);

// Memory that the workers need, at most, for pieces of `piece` weights in rows of `cols`, of which
// up to `sharing` share a row of a plane.
std::uint64_t workers_bytes(std::uint64_t cols, std::uint64_t sharing, std::uint64_t piece,
                            int threads, std::size_t outputs) noexcept;

}  // namespace pajamas::quantize
