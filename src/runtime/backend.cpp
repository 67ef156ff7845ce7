#include "runtime/backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/machine.h"
#include "base/readable.h"
#include "base/system.h"
#include "runtime/backend_choice.h"
#include "runtime/mlx/backend.h"
#include "runtime/native/cpu/backend.h"

namespace pajamas::runtime {
namespace {

constexpr std::uint64_t kDefaultContext = 4096;
constexpr std::uint64_t kContextStep = 256;

template <class Wanted>
std::string names_of(Wanted&& wanted) {
  std::string names;
  for (const Backend* backend : backends()) {
    if (!wanted(*backend)) continue;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", backend->name());
  }
  return names;
}

}  // namespace

std::uint64_t default_context(const model::ModelConfig& config) noexcept {
  return std::min(config.context_length, kDefaultContext);
}

std::uint64_t MemoryNeeds::total() const { return checked_add(keys_values, work); }

std::unique_ptr<Engine> Backend::open_store(std::shared_ptr<const weights::WeightStore>,
                                            const EngineOptions&) const {
  throw Error(ErrorCode::kUnsupported,
              fmt::format("the backend \"{}\" runs models of files alone", name()));
}

double Backend::memory_bandwidth(const EngineOptions& options, double seconds,
                                 const StopFlag& stop) const {
  const std::uint64_t buffer = uncached_buffer_bytes(processor(), available_memory_bytes());
  if (buffer == 0) return 0;
  return pajamas::memory_bandwidth(*options.pool, buffer, seconds, stop);
}

std::span<const Backend* const> backends() noexcept {
  static const Backend* const all[] = {&cpu_backend(), &mlx_backend()};
  return all;
}

const Backend& default_backend() noexcept { return cpu_backend(); }

std::string usable_backend_names() {
  return names_of([](const Backend& backend) { return backend.available(); });
}

std::string backend_names() {
  return names_of([](const Backend&) { return true; });
}

void require_available(const Backend& backend) {
  if (backend.available()) return;
  throw Error(
      ErrorCode::kUnsupported,
      fmt::format("the backend \"{}\" cannot run here: {}", backend.name(), backend.description()),
      fmt::format("use one of: {}", usable_backend_names()));
}

const Backend& backend_by_name(std::string_view name) {
  for (const Backend* backend : backends()) {
    if (backend->name() != name) continue;
    require_available(*backend);
    return *backend;
  }
  throw Error(ErrorCode::kUsage,
              fmt::format("there is no backend \"{}\" in this program", printable(name, 40)),
              fmt::format("built in: {}", usable_backend_names()));
}

MemoryNeeds memory_needs(const model::ModelConfig& config, const EngineOptions& options) {
  return options.backend->needs(config, options);
}

MemoryNeeds memory_needs(const model::ModelConfig& config, EngineOptions options,
                         std::uint64_t positions) {
  options.context = positions;
  return memory_needs(config, options);
}

std::uint64_t memory_limit(const EngineOptions& options) noexcept {
  return options.memory_budget > 0 ? options.memory_budget : memory_limit_bytes();
}

std::uint64_t longest_context(const model::ModelConfig& config, const EngineOptions& options,
                              std::uint64_t limit) {
  const auto fits = [&](std::uint64_t steps) {
    return memory_needs(config, options, steps * kContextStep).total() <= limit;
  };
  std::uint64_t good = 0, bad = kMaxContext / kContextStep + 1;
  while (bad - good > 1) {
    const std::uint64_t middle = good + (bad - good) / 2;
    (fits(middle) ? good : bad) = middle;
  }
  return good * kContextStep;
}

std::string ways_to_fit_context(const model::ModelConfig& config, const EngineOptions& options,
                                std::uint64_t limit) {
  std::vector<std::string> ways;
  const std::uint64_t taken = memory_needs(config, options).total();
  for (const KvTypeInfo& type : kKvTypes) {
    EngineOptions narrower = options;
    narrower.kv_type = type.id;
    const std::uint64_t needed = memory_needs(config, narrower).total();
    if (needed > limit || needed >= taken) continue;
    ways.push_back(fmt::format("--kv-cache {} ({})", type.name, readable_bytes(needed)));
    break;
  }
  // No more than the model was made for, even where there is room for more.
  const std::uint64_t longest =
      std::min(longest_context(config, options, limit), config.context_length);
  if (longest > 0 && longest < options.context) {
    const std::uint64_t needed = memory_needs(config, options, longest).total();
    ways.push_back(fmt::format("--ctx {} ({})", longest, readable_bytes(needed)));
  }
  if (ways.empty()) return "close other programs, or use a smaller model";
  return fmt::format("try {}", ways.size() == 1 ? ways[0] : ways[0] + " or " + ways[1]);
}

void require_memory(const model::Checkpoint& checkpoint, const EngineOptions& options) {
  const std::uint64_t needed = memory_needs(checkpoint.config(), options).total();
  const std::uint64_t limit = memory_limit(options);
  if (needed <= limit) return;
  throw Error(
      ErrorCode::kOutOfMemory,
      fmt::format("a context of {} takes {} of memory and there are {}",
                  with_thousands(options.context), readable_bytes(needed), readable_bytes(limit)),
      ways_to_fit_context(checkpoint.config(), options, limit))
      .at(printable(checkpoint.path().native(), 300));
}

std::unique_ptr<Engine> open_engine(model::Checkpoint checkpoint, const EngineOptions& options) {
  if (options.any_backend) {
    EngineOptions settled = options;
    settle_backend(checkpoint.container(), settled);
    return open_engine(std::move(checkpoint), settled);
  }
  require_memory(checkpoint, options);
  return options.backend->open(std::move(checkpoint), options);
}

}  // namespace pajamas::runtime
