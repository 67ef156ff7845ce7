// A model ready to run, for the commands that run one.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "base/parallel.h"
#include "kernels/table.h"
#include "model/checkpoint.h"
#include "runtime/engine.h"

namespace pajamas::cli {

// Throws Error{kUsage} where this program has no backend of that name.
void require_backend(const std::string& name);
void add_backend_option(CLI::App& command, std::string& name);

// Maps the checkpoint's files. Throws Error{kOutOfMemory}, with both figures, where sessions of
// `positions` would not fit into the memory of this machine.
std::unique_ptr<runtime::Engine> open_engine(model::Checkpoint checkpoint, const TaskPool& pool,
                                             const kernels::KernelTable& kernels,
                                             std::uint64_t positions);

}  // namespace pajamas::cli
