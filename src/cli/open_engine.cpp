#include "cli/open_engine.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/system.h"
#include "cli/expectation.h"
#include "cli/log.h"
#include "cli/terminal.h"
#include "quantize/weight_check.h"
#include "runtime/native/cpu_engine.h"
#include "runtime/weights.h"

namespace pajamas::cli {

void require_backend(const std::string& name) {
  if (name == "cpu") return;
  throw Error(ErrorCode::kUsage,
              fmt::format("there is no backend \"{}\" in this program", printable(name, 40)),
              "built in: cpu")
      .at("--backend");
}

void add_backend_option(CLI::App& command, std::string& name) {
  command.add_option("--backend", name, "What runs the model (built in: cpu)")
      ->type_name("NAME")
      ->default_str("cpu");
}

namespace {

std::uint64_t weights_bytes(const model::Checkpoint& checkpoint) {
  std::uint64_t bytes = 0;
  for (const model::StoredTensor& tensor : checkpoint.tensors()) bytes += tensor.bytes();
  return bytes;
}

// ", or write it with --method Q4_K_M (4.68 GB)": the same model made smaller.
std::string smaller_methods(const model::Checkpoint& checkpoint, std::uint64_t limit) {
  quantize::PlanInput input;
  input.config = checkpoint.config();
  quantize::Recipe recipe;
  const std::string fitting = methods_that_fit(input, {&recipe, 1}, limit);
  return fitting.empty() ? "" : fmt::format(", or write it with {}", fitting);
}

// What fits into the machine but not beside what else it does runs, slowly.
void tell_of_little_memory(const model::Checkpoint& checkpoint, std::uint64_t positions,
                           runtime::KvType kv_type, std::uint64_t needed) {
  const std::uint64_t available = available_memory_bytes();
  const std::uint64_t weights = weights_bytes(checkpoint);
  if (available == 0) return;
  if (needed > available) {
    log_note(fmt::format("a context of {} takes up to {} of memory and {} are free: {}",
                         with_thousands(positions), readable_bytes(needed),
                         readable_bytes(available),
                         ways_to_fit_context(checkpoint.config(), positions, kv_type, available)));
  } else if (weights > available - needed) {
    log_note(fmt::format(
        "the weights take {} and {} of memory are free beside the context, so that they are read "
        "from the disk again and again: close other programs{}",
        readable_bytes(weights), readable_bytes(available - needed),
        smaller_methods(checkpoint, available - needed)));
  }
}

}  // namespace

std::unique_ptr<runtime::Engine> open_engine(model::Checkpoint checkpoint, const TaskPool& pool,
                                             const kernels::KernelTable& kernels,
                                             std::uint64_t positions, runtime::KvType kv_type,
                                             runtime::Activations activations) {
  log_opened(checkpoint);
  tell_notes(checkpoint);
  const std::uint64_t needed =
      runtime::CpuEngine::memory_for(checkpoint.config(), positions, kv_type);
  const std::uint64_t limit = memory_limit_bytes();
  const model::ModelConfig& config = checkpoint.config();
  if (needed > limit) {
    throw Error(
        ErrorCode::kOutOfMemory,
        fmt::format("a context of {} takes {} of memory and there are {}",
                    with_thousands(positions), readable_bytes(needed), readable_bytes(limit)),
        ways_to_fit_context(config, positions, kv_type, limit))
        .at(printable(checkpoint.path().native(), 300));
  }
  tell_of_little_memory(checkpoint, positions, kv_type, needed);
  return std::make_unique<runtime::CpuEngine>(
      std::make_unique<runtime::MappedWeights>(std::move(checkpoint)), pool, kernels, kv_type,
      activations);
}

void log_opened(const model::Checkpoint& checkpoint) {
  for (const File& file : checkpoint.files()) {
    log_detail(fmt::format("opened {} ({})", printable(file.path().native(), 300),
                           readable_bytes(file.size())));
  }
}

void tell_notes(const model::Checkpoint& checkpoint) { log_notes(checkpoint.config().notes); }

void throw_bad_weight(const std::vector<std::string>& models, const TaskPool& pool,
                      const kernels::KernelTable& kernels) {
  for (const std::string& path : models) {
    quantize::require_finite(model::Checkpoint::open(path), kernels, pool);
  }
}

}  // namespace pajamas::cli
