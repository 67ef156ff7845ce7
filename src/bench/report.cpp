#include "bench/report.h"

#include <fmt/format.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/machine.h"
#include "base/system.h"

namespace pajamas::bench {
namespace {

using nlohmann::ordered_json;

template <class Number>
ordered_json or_null(Number value) {
  return value > 0 ? ordered_json(value) : ordered_json();
}

std::string now_text() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char text[32];
  const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return {text, length};
}

void add_spread(ordered_json& row, const std::string& key, const std::optional<Spread>& spread) {
  row[key] = spread ? ordered_json(spread->median) : ordered_json();
  row[key + "_min"] = spread ? ordered_json(spread->low) : ordered_json();
  row[key + "_max"] = spread ? ordered_json(spread->high) : ordered_json();
}

ordered_json result_json(const DepthResult& result, const SpeedReport& report,
                         const runtime::EngineOptions& options) {
  ordered_json row = {{"context", result.context}};
  add_spread(row, "prompt_tokens_per_second", result.prompt_rate);
  add_spread(row, "generation_tokens_per_second", result.generation_rate);
  add_spread(row, "first_token_seconds", result.first_token_seconds);
  row["prompt_tokens"] = report.question.prompt_tokens;
  row["generation_tokens"] = report.question.generation_tokens;
  row["repeats"] = result.repeats;
  row["weight_bytes_per_token"] = result.weight_bytes;
  row["kv_cache_bytes_per_token"] = result.cache_bytes_read;
  row["bytes_per_token"] = result.bytes_per_token();
  const std::optional<double> share = result.bandwidth_share(report.bytes_per_second);
  row["memory_bandwidth_share"] = share ? ordered_json(*share) : ordered_json();
  row["kv_cache_bytes"] = result.cache_bytes;
  row["resident_memory_bytes"] = or_null(result.resident_bytes);
  row["kv_cache"] = runtime::info(options.kv_type).name;
  row["activations"] = options.activations == runtime::Activations::kInt8 ? "int8" : "float";
  row["threads"] = options.pool->threads();
  return row;
}

// As RFC 4180 has it.
std::string csv_field(const ordered_json& value) {
  if (value.is_null()) return {};
  if (!value.is_string()) return value.dump();
  const std::string& text = value.get_ref<const std::string&>();
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

}  // namespace

ordered_json machine_json(const runtime::EngineOptions& options, double bytes_per_second,
                          double load_before, std::string_view version) {
  const Processor cpu = processor();
  return {
      {"processor", cpu.model.empty() ? ordered_json() : ordered_json(printable(cpu.model, 200))},
      {"cores", or_null(cpu.cores)},
      {"usable_processors", usable_cpus()},
      {"memory_bytes", or_null(memory_limit_bytes())},
      {"memory_read_bytes_per_second", or_null(bytes_per_second)},
      {"load_average", load_before < 0 ? ordered_json() : ordered_json(load_before)},
      {"kernels", options.kernels->name},
      {"threads", options.pool->threads()},
      {"version", version},
      {"date", now_text()}};
}

ordered_json to_json(const SpeedReport& report, const runtime::EngineOptions& options,
                     ordered_json machine) {
  ordered_json results = ordered_json::array();
  for (const DepthResult& result : report.results) {
    results.push_back(result_json(result, report, options));
  }
  ordered_json memory = ordered_json::array();
  for (const MemorySample& sample : report.memory) {
    memory.push_back(
        {{"seconds", sample.seconds}, {"resident_bytes", or_null(sample.resident_bytes)}});
  }
  ordered_json out = {{"model", report.model},
                      {"backend", report.backend},
                      {"machine", std::move(machine)},
                      {"results", std::move(results)},
                      {"load_seconds", report.load_seconds},
                      {"peak_memory_bytes", report.peak_memory_bytes},
                      {"memory_over_time", std::move(memory)}};
  if (report.library_peak_bytes) out["library_peak_bytes"] = *report.library_peak_bytes;
  if (report.partial) out["partial"] = true;
  return out;
}

std::string to_csv(const SpeedReport& report, const runtime::EngineOptions& options) {
  // Names also where nothing was measured.
  std::vector<DepthResult> results = report.results;
  if (results.empty()) results.emplace_back();
  std::string text;
  for (const DepthResult& result : results) {
    ordered_json row = {{"model", report.model}, {"backend", report.backend}};
    row.update(result_json(result, report, options));
    row["load_seconds"] = report.load_seconds;
    row["peak_memory_bytes"] = report.peak_memory_bytes;
    row["partial"] = report.partial;
    std::string names, values;
    for (const auto& [key, value] : row.items()) {
      const char* comma = names.empty() ? "" : ",";
      names += comma + key;
      values += comma + csv_field(value);
    }
    if (text.empty()) text = names + "\r\n";
    if (!report.results.empty()) text += values + "\r\n";
  }
  return text;
}

}  // namespace pajamas::bench
