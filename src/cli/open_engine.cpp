#include "cli/open_engine.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/system.h"
#include "cli/log.h"
#include "cli/terminal.h"
#include "quantize/row_reader.h"
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

std::unique_ptr<runtime::Engine> open_engine(model::Checkpoint checkpoint, const TaskPool& pool,
                                             const kernels::KernelTable& kernels,
                                             std::uint64_t positions, runtime::KvType kv_type) {
  log_opened(checkpoint);
  const std::uint64_t needed =
      runtime::CpuEngine::memory_for(checkpoint.config(), positions, kv_type);
  const std::uint64_t limit = memory_limit_bytes();
  if (needed > limit) {
    throw Error(
        ErrorCode::kOutOfMemory,
        fmt::format("a context of {} takes {} of memory and there are {}",
                    with_thousands(positions), readable_bytes(needed), readable_bytes(limit)),
        "use a smaller --ctx or a narrower --kv-cache")
        .at(printable(checkpoint.path().native(), 300));
  }
  return std::make_unique<runtime::CpuEngine>(
      std::make_unique<runtime::MappedWeights>(std::move(checkpoint)), pool, kernels, kv_type);
}

void log_opened(const model::Checkpoint& checkpoint) {
  for (const File& file : checkpoint.files()) {
    log_detail(fmt::format("opened {} ({})", printable(file.path().native(), 300),
                           readable_bytes(file.size())));
  }
}

void throw_bad_weight(const std::vector<std::string>& models, const TaskPool& pool,
                      const kernels::KernelTable& kernels) {
  for (const std::string& path : models) {
    quantize::require_finite(model::Checkpoint::open(path), kernels, pool);
  }
}

}  // namespace pajamas::cli
