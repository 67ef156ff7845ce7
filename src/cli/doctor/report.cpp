#include "cli/doctor/report.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/cpu.h"
#include "base/error.h"
#include "base/machine.h"
#include "base/system.h"
#include "cli/expectation.h"
#include "cli/log.h"
#include "quantize/plan_input.h"
#include "runtime/backend.h"
#include "runtime/backend_choice.h"

namespace pajamas::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr std::uint64_t kDiskBytes = 256u << 20;
constexpr double kMemorySeconds = 1;

template <class Number>
ordered_json known(Number value) {
  return value > 0 ? ordered_json(value) : ordered_json();
}
ordered_json known(const std::string& text) {
  return text.empty() ? ordered_json() : ordered_json(printable(text, 200));
}

std::vector<std::string> feature_names() {
  const CpuFeatures& cpu = cpu_features();
  std::vector<std::string> names;
  const auto add = [&](bool has, const char* name) {
    if (has) names.emplace_back(name);
  };
  add(cpu.avx2, "avx2");
  add(cpu.fma, "fma");
  add(cpu.f16c, "f16c");
  if (cpu.avx512) {
    for (const char* part : {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"}) {
      names.emplace_back(part);
    }
  }
  add(cpu.avx512_vnni, "avx512_vnni");
  add(cpu.avx512_bf16, "avx512_bf16");
  add(cpu.neon, "neon");
  add(cpu.neon_dotprod, "dotprod");
  return names;
}

ordered_json processor_json(const Processor& cpu, const runtime::EngineOptions& engine) {
  std::vector<std::string> tables;
  for (const kernels::KernelTable* table : kernels::all_kernels()) {
    if (table->supported(cpu_features())) tables.emplace_back(table->name);
  }
  return {{"model", known(cpu.model)},
          {"cores", known(cpu.cores)},
          {"logical_processors", known(cpu.threads)},
          {"usable_processors", usable_cpus()},
          {"last_level_cache_bytes", known(cpu.last_level_cache)},
          {"features", feature_names()},
          {"kernels", engine.kernels->name},
          {"supported_kernels", tables},
          {"threads", engine.pool->threads()},
          {"load_average", load_average() < 0 ? ordered_json() : ordered_json(load_average())}};
}

ordered_json memory_json(const DoctorQuestion& question, const Processor& cpu,
                         const StopFlag& stop) {
  const std::uint64_t available = available_memory_bytes();
  const std::uint64_t buffer = uncached_buffer_bytes(cpu, available);
  const bool measure = question.measure && buffer > 0;
  const double rate =
      measure ? memory_bandwidth(*question.engine.pool, buffer, kMemorySeconds, stop) : 0;
  return {{"total_bytes", known(memory_limit_bytes())},
          {"available_bytes", known(available)},
          {"read_bytes_per_second", known(rate)},
          {"buffer_bytes", measure ? ordered_json(buffer) : ordered_json()}};
}

fs::path existing_parent(fs::path path) {
  std::error_code code;
  path = fs::absolute(path, code);
  while (!fs::is_directory(path, code) && path.has_relative_path()) path = path.parent_path();
  return path;
}

ordered_json disk_json(const DoctorQuestion& question, const char* what, const fs::path& folder,
                       const StopFlag& stop) {
  ordered_json disk = {{"what", what},
                       {"path", printable(folder.native(), 300)},
                       {"free_bytes", nullptr},
                       {"write_bytes_per_second", nullptr},
                       {"read_bytes_per_second", nullptr},
                       {"direct", nullptr},
                       {"problem", nullptr}};
  try {
    const std::uint64_t free = free_disk_bytes(folder);
    disk["free_bytes"] = free;
    if (!question.measure) return disk;
    if (free < 2 * kDiskBytes) {
      disk["problem"] = "too little space to measure";
      return disk;
    }
    const DiskRates rates = disk_rates(folder, kDiskBytes, stop);
    disk["write_bytes_per_second"] = rates.write;
    disk["read_bytes_per_second"] = rates.read;
    disk["direct"] = rates.direct;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInterrupted) throw;
    disk["problem"] = error.problem();
  }
  return disk;
}

// The folders that matter, one a device.
ordered_json disks_json(const DoctorQuestion& question, const Settings& settings,
                        const StopFlag& stop) {
  ordered_json disks = ordered_json::array();
  std::vector<dev_t> seen;
  const auto add = [&](const char* what, const fs::path& path) {
    const fs::path folder = existing_parent(path).lexically_normal();
    struct stat status {};
    if (::stat(folder.c_str(), &status) != 0) return;
    if (std::find(seen.begin(), seen.end(), status.st_dev) != seen.end()) return;
    seen.push_back(status.st_dev);
    disks.push_back(disk_json(question, what, folder, stop));
  };
  std::error_code ignored;
  add("current folder", fs::current_path(ignored));
  add("hub cache", settings.cache());
  return disks;
}

ordered_json gpus_json() {
  ordered_json all = ordered_json::array();
  for (const Gpu& gpu : gpus()) {
    all.push_back({{"name", known(gpu.name)}, {"memory_bytes", known(gpu.memory_bytes)}});
  }
  return all;
}

// What models take in the hub's cache; links point to what is counted already.
ordered_json cache_json(const Settings& settings, const StopFlag& stop) {
  std::uint64_t bytes = 0;
  std::uint64_t models = 0;
  std::error_code code;
  const fs::path folder = settings.cache();
  const bool exists = fs::is_directory(folder, code);
  if (exists) {
    using Iterator = fs::recursive_directory_iterator;
    Iterator at(folder, fs::directory_options::skip_permission_denied, code);
    for (; !code && at != Iterator(); at.increment(code)) {
      stop.check();
      const auto& entry = *at;
      std::error_code ignored;
      if (at.depth() == 0 && entry.path().filename().native().starts_with("models--")) ++models;
      if (entry.is_symlink(ignored) || !entry.is_regular_file(ignored)) continue;
      const std::uintmax_t size = entry.file_size(ignored);
      if (!ignored) bytes += size;
    }
  }
  return {{"path", printable(folder.native(), 300)},
          {"source", settings.get(SettingKey::kCache).source},
          {"exists", exists},
          {"models", models},
          {"bytes", bytes}};
}

ordered_json settings_json(const Settings& settings) {
  ordered_json all = ordered_json::array();
  for (const SettingInfo& setting : kSettings) {
    const Setting& chosen = settings.get(setting.key);
    all.push_back({{"name", setting.name},
                   {"value", known(chosen.value)},
                   {"source", chosen.source},
                   {"variable", setting.variable}});
  }
  return {{"file", known(settings.file().native())},
          {"file_read", settings.file_read()},
          {"profile", known(settings.profile())},
          {"profiles", settings.profiles()},
          {"problem", settings.fault() ? ordered_json(settings.fault()->what()) : ordered_json()},
          {"values", std::move(all)}};
}

ordered_json backends_json() {
  ordered_json all = ordered_json::array();
  for (const runtime::Backend* backend : runtime::backends()) {
    const bool usable = backend->available();
    const ordered_json said = printable(backend->description(), 400);
    all.push_back(
        {{"name", backend->name()},
         {"built_in", backend->built_in()},
         {"plugin", backend->plugin().empty() ? ordered_json()
                                              : ordered_json(printable(backend->plugin(), 300))},
         {"usable", usable},
         {"runs_on", usable ? said : ordered_json()},
         {"why_not", usable ? ordered_json() : said}});
  }
  return all;
}

// What --backend auto would choose, with the options at hand.
ordered_json automatic_json(const runtime::EngineOptions& engine) {
  ordered_json all = ordered_json::array();
  for (const auto container :
       {model::Container::kGguf, model::Container::kMlx, model::Container::kHuggingFace}) {
    const runtime::BackendChoice choice = runtime::choice_here(container, engine);
    all.push_back({{"format", model::container_name(container)},
                   {"backend", choice.name},
                   {"why", printable(choice.why, 400)}});
  }
  return all;
}

}  // namespace

ordered_json expect_of_models(const runtime::EngineOptions& engine, std::uint64_t available,
                              double bytes_per_second) {
  ordered_json models = ordered_json::array();
  for (const KnownModel& model : known_models()) {
    const quantize::PlanInput input = quantize::plan_input_of_config(
        nlohmann::json::parse(model.config), std::string(model.name));
    const std::vector<MethodNeeds> needs = needs_by_method(input, engine);
    const auto best = best_that_fits(needs, available);
    // Where nothing fits, what the least would take.
    const MethodNeeds& shown = best ? *best : needs.back();
    models.push_back(
        {{"model", model.name},
         {"fits", available == 0 ? ordered_json() : ordered_json(best.has_value())},
         {"method", available == 0 ? ordered_json() : ordered_json(shown.method)},
         {"file_bytes", shown.file_bytes},
         {"memory_bytes", shown.memory_bytes},
         {"bytes_per_token", shown.bytes_per_token},
         {"predicted_tokens_per_second",
          best ? known(predicted_rate(bytes_per_second, shown.bytes_per_token)) : ordered_json()}});
  }
  return models;
}

ordered_json examine(const DoctorQuestion& question, const Settings& settings, Progress& progress,
                     const StopFlag& stop) {
  const auto step = [&](const char* name, auto&& make) {
    stop.check();
    progress.begin(name, 0, "");
    ordered_json made = make();
    progress.end();
    return made;
  };
  const Processor cpu = processor();
  ordered_json report = {{"version", PAJAMAS_VERSION},
                         {"processor", processor_json(cpu, question.engine)}};
  report["memory"] = step("measuring memory", [&] { return memory_json(question, cpu, stop); });
  report["disks"] = step("measuring disks", [&] { return disks_json(question, settings, stop); });
  report["gpus"] = gpus_json();
  report["mlx"] = {{"hardware", runtime::on_apple_silicon()}};
  report["backends"] = backends_json();
  report["automatic_backend"] = automatic_json(question.engine);
  report["cache"] = step("counting the hub cache", [&] { return cache_json(settings, stop); });
  report["settings"] = settings_json(settings);
  report["context"] = question.engine.context;
  report["kv_cache"] = runtime::info(question.engine.kv_type).name;
  const auto number = [&](const char* key) {
    const ordered_json& value = report["memory"][key];
    return value.is_null() ? 0.0 : value.get<double>();
  };
  report["models"] =
      expect_of_models(question.engine, static_cast<std::uint64_t>(number("available_bytes")),
                       number("read_bytes_per_second"));
  return report;
}

}  // namespace pajamas::cli
