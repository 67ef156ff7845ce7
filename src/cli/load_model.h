// What the commands that open a model tell of it.
#pragma once

#include <cstdint>

#include "model/checkpoint.h"
#include "runtime/engine_options.h"

namespace pajamas::cli {

// Of all tensors, as they are stored.
std::uint64_t weights_bytes(const model::Checkpoint& checkpoint);

// For --verbose: the files that were opened.
void log_opened(const model::Checkpoint& checkpoint);

// What the user should know of how they were read. (A plan has these notes among its own.)
void tell_notes(const model::Checkpoint& checkpoint);

// Both, and how well the model fits this machine where it is about to run with these options.
void tell_of_running(const model::Checkpoint& checkpoint, const runtime::EngineOptions& options);

}  // namespace pajamas::cli
