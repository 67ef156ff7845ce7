// A model ready to run, for the commands that run one.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/table.h"
#include "model/checkpoint.h"
#include "runtime/engine.h"
#include "runtime/native/kv_type.h"
#include "runtime/native/linear.h"

namespace pajamas::cli {

// Throws Error{kUsage} where this program has no backend of that name.
void require_backend(const std::string& name);
void add_backend_option(CLI::App& command, std::string& name);

// Maps the checkpoint's files. Throws Error{kOutOfMemory}, with both figures, where sessions of
// `positions` would not fit into the memory of this machine.
std::unique_ptr<runtime::Engine> open_engine(model::Checkpoint checkpoint, const TaskPool& pool,
                                             const kernels::KernelTable& kernels,
                                             std::uint64_t positions, runtime::KvType kv_type,
                                             runtime::Activations activations);

// For --verbose: the files that were opened.
void log_opened(const model::Checkpoint& checkpoint);

// What the user should know of how they were read. (A plan has these notes among its own.)
void tell_notes(const model::Checkpoint& checkpoint);

// Looks through the weights of models that computed something that is not finite and throws the
// Error that names the one at fault, if there is one.
void throw_bad_weight(const std::vector<std::string>& models, const TaskPool& pool,
                      const kernels::KernelTable& kernels);

// Runs `fn`. Where it finds a model corrupt, the weights are searched for the reason.
template <class Fn>
decltype(auto) naming_bad_weights(const std::vector<std::string>& models, const TaskPool& pool,
                                  const kernels::KernelTable& kernels, Fn&& fn) {
  try {
    return fn();
  } catch (Error& error) {
    if (error.code() != ErrorCode::kCorruptFile) throw;
    throw_bad_weight(models, pool, kernels);
    error.at(printable(models.front(), 300));
    throw;
  }
}

}  // namespace pajamas::cli
