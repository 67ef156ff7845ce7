#include "cli/engine_options.h"

#include <fmt/format.h>

#include <vector>

#include "base/error.h"
#include "base/readable.h"
#include "base/suggest.h"
#include "base/system.h"
#include "cli/log.h"
#include "runtime/backend.h"

namespace pajamas::cli {
namespace {

std::string all_types() {
  std::string names;
  for (const runtime::KvTypeInfo& type : runtime::kKvTypes) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", type.name);
  }
  return names;
}

bool asked_of_this_run(const EngineFlags& flags, SettingKey key, std::string_view flag) {
  return flags.settings != nullptr && flags.settings->get(key).source == flag;
}

runtime::Activations activations_of(const std::string& name) {
  if (name == "int8") return runtime::Activations::kInt8;
  if (name == "float") return runtime::Activations::kFloat;
  throw Error(ErrorCode::kUsage,
              fmt::format("there are no activations \"{}\"", printable(name, 40)),
              "give int8 or float")
      .at("--activations");
}

}  // namespace

void add_threads_option(const Command& command, int& threads) {
  threads = usable_cpus();
  command
      .add_option("--threads", threads,
                  "Number of threads (default: the setting threads, else all processors)")
      .type_name("N");
}

void add_kernels_option(const Command& command, std::string& name) {
  command
      .add_option(
          "--kernels", name,
          "Instruction set to use (default: the setting kernels, else the best of this machine)")
      .type_name("NAME");
}

void add_kv_cache_option(const Command& command, std::string& name, std::string_view standard) {
  command
      .add_option("--kv-cache", name,
                  fmt::format("Store keys and values as: {} (default: {})", all_types(), standard))
      .type_name("TYPE");
}

void add_engine_options(const Command& command, const Settings& settings, EngineFlags& flags,
                        const EngineDefaults& defaults) {
  flags.settings = &settings;
  add_threads_option(command, flags.threads);
  command
      .add_option("--backend", flags.backend,
                  fmt::format("What runs the model: {}, or {}: mlx for MLX directories on Apple "
                              "silicon, else cpu",
                              runtime::backend_names(), runtime::kAnyBackend))
      .type_name("NAME")
      .default_str(flags.backend);
  add_kernels_option(command, flags.kernels);
  flags.kv_cache = runtime::info(defaults.kv_cache).name;
  add_kv_cache_option(
      command, flags.kv_cache,
      defaults.settings
          ? "the setting kv_cache, else what the model suggests, else " + flags.kv_cache
          : flags.kv_cache);
  flags.activations = defaults.activations;
  command
      .add_option("--activations", flags.activations,
                  fmt::format("Multiply quantized weights with activations rounded to 8 bits "
                              "(int8: fast) or not (float: exact) (default: {})",
                              defaults.activations))
      .type_name("TYPE");
}

const kernels::KernelTable& chosen_kernels(const std::string& name) {
  const kernels::KernelTable& table =
      name.empty() ? kernels::best_kernels() : kernels::kernels_by_name(name);
  log_detail(fmt::format("kernels: {}", table.name));
  return table;
}

runtime::KvType kv_type_of(const std::string& name) {
  if (const auto type = runtime::kv_type_by_name(name)) return *type;
  std::vector<std::string_view> names;
  for (const runtime::KvTypeInfo& type : runtime::kKvTypes) names.push_back(type.name);
  throw Error(ErrorCode::kUsage, fmt::format("there is no cache type \"{}\"", printable(name, 40)),
              fmt::format("{}give one of {}", did_you_mean(name, names), all_types()))
      .at("--kv-cache");
}

std::uint64_t checked_context(std::int64_t context, std::int64_t least, const std::string& what) {
  if (context < least || static_cast<std::uint64_t>(context) > runtime::kMaxContext) {
    throw Error(ErrorCode::kUsage, fmt::format("{} is out of range", context), what).at("--ctx");
  }
  return static_cast<std::uint64_t>(context);
}

namespace {

// All but the threads, which are checked with them.
runtime::EngineOptions options_without_threads(const EngineFlags& flags) {
  runtime::EngineOptions options;
  options.any_backend = flags.backend == runtime::kAnyBackend;
  options.activations = activations_of(flags.activations);
  options.kv_type = kv_type_of(flags.kv_cache);
  options.threads_asked = asked_of_this_run(flags, SettingKey::kThreads, "--threads");
  options.kernels_asked = asked_of_this_run(flags, SettingKey::kKernels, "--kernels");
  if (options.any_backend) return options;
  with_context("--backend", [&] {
    options.backend = &runtime::backend_by_name(flags.backend);
    options.backend->require_options(options);
  });
  return options;
}

}  // namespace

void check_engine_flags(const EngineFlags& flags) {
  options_without_threads(flags);
  if (!flags.kernels.empty()) kernels::kernels_by_name(flags.kernels);
}

runtime::EngineOptions engine_options(const EngineFlags& flags) {
  runtime::EngineOptions options = options_without_threads(flags);
  options.kernels = &chosen_kernels(flags.kernels);
  options.pool = std::make_shared<const TaskPool>(flags.threads);
  return options;
}

void settle_backend(const model::Checkpoint& checkpoint, runtime::EngineOptions& options) {
  const auto choice = runtime::settle_backend(checkpoint.container(), options);
  if (!choice) return;
  const std::string text =
      fmt::format("{} runs on the backend {}: {}", printable(checkpoint.path().native(), 300),
                  choice->name, choice->why);
  // Machines read it in the results.
  choice->notable && !log_style().json ? log_note(text) : log_detail(text);
}

std::string kv_cache_text(const model::ModelConfig& config, const runtime::EngineOptions& options) {
  return fmt::format("{}, {} for {} tokens", runtime::info(options.kv_type).name,
                     readable_bytes(runtime::memory_needs(config, options).keys_values),
                     with_thousands(options.context));
}

}  // namespace pajamas::cli
