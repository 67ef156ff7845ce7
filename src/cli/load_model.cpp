#include "cli/load_model.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/system.h"
#include "cli/expectation.h"
#include "cli/log.h"
#include "cli/terminal.h"
#include "quantize/plan_input.h"
#include "runtime/backend.h"

namespace pajamas::cli {

std::uint64_t weights_bytes(const model::Checkpoint& checkpoint) {
  std::uint64_t bytes = 0;
  for (const model::StoredTensor& tensor : checkpoint.tensors()) bytes += tensor.bytes();
  return bytes;
}

namespace {

// ", or write it with --method Q4_K_M (4.68 GB)": the same model made smaller.
std::string smaller_methods(const model::Checkpoint& checkpoint, std::uint64_t limit) {
  quantize::PlanInput input;
  input.config = checkpoint.config();
  quantize::Recipe recipe;
  const std::string fitting = methods_that_fit(input, {&recipe, 1}, limit);
  return fitting.empty() ? "" : fmt::format(", or write it with {}", fitting);
}

// What fits into the machine but not beside what else it does runs, slowly.
void tell_of_little_memory(const model::Checkpoint& checkpoint,
                           const runtime::EngineOptions& options) {
  const std::uint64_t needed = runtime::memory_needs(checkpoint.config(), options).total();
  const std::uint64_t available = available_memory_bytes();
  const std::uint64_t weights = weights_bytes(checkpoint);
  // What does not fit at all is an error, and opening it says so.
  if (available == 0 || needed > runtime::memory_limit(options)) return;
  if (needed > available) {
    log_note(fmt::format("a context of {} takes up to {} of memory and {} are free: {}",
                         with_thousands(options.context), readable_bytes(needed),
                         readable_bytes(available),
                         runtime::ways_to_fit_context(checkpoint.config(), options, available)));
  } else if (weights > available - needed) {
    log_note(fmt::format(
        "the weights take {} and {} of memory are free beside the context, so that they are read "
        "from the disk again and again: close other programs{}",
        readable_bytes(weights), readable_bytes(available - needed),
        smaller_methods(checkpoint, available - needed)));
  }
}

}  // namespace

void log_opened(const model::Checkpoint& checkpoint) {
  for (const File& file : checkpoint.files()) {
    log_detail(fmt::format("opened {} ({})", printable(file.path().native(), 300),
                           readable_bytes(file.size())));
  }
}

void tell_notes(const model::Checkpoint& checkpoint) { log_notes(checkpoint.config().notes); }

void tell_of_running(const model::Checkpoint& checkpoint, const runtime::EngineOptions& options) {
  log_opened(checkpoint);
  tell_notes(checkpoint);
  tell_of_little_memory(checkpoint, options);
}

}  // namespace pajamas::cli
