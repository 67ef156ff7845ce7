// What the commands that open a model tell of it.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
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

// Looks through the weights of models that computed something that is not finite and throws the
// Error that names the one at fault, if there is one.
void throw_bad_weight(const std::vector<std::string>& models,
                      const runtime::EngineOptions& options);

// Runs `fn`. Where it finds a model corrupt, the weights are searched for the reason.
template <class Fn>
decltype(auto) naming_bad_weights(const std::vector<std::string>& models,
                                  const runtime::EngineOptions& options, Fn&& fn) {
  try {
    return fn();
  } catch (Error& error) {
    if (error.code() != ErrorCode::kCorruptFile) throw;
    throw_bad_weight(models, options);
    error.at(printable(models.front(), 300));
    throw;
  }
}

}  // namespace pajamas::cli
