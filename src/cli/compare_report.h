// What `compare` found, as JSON and as a table.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/report.h"
#include "bench/verdict.h"
#include "eval/summary.h"
#include "runtime/engine_options.h"

namespace pajamas::cli {

struct ComparedModel {
  std::string path;   // as given
  std::string about;  // for people
  std::string format;
  std::uint64_t size_bytes = 0;
  double bits_per_weight = 0;
  std::uint64_t memory_bytes = 0;  // weights, keys and values, work
  runtime::EngineOptions engine;
  std::optional<bench::SpeedReport> speed;
  std::vector<double> prompt_rates, generation_rates;  // of each round, over all contexts
  std::optional<eval::Score> quality;
  std::optional<eval::Loss> loss;              // against the first model, but for the first
  std::optional<eval::Comparison> divergence;  // from what is compared with
};

struct ComparisonReport {
  std::vector<ComparedModel> models;
  std::string reference;  // that divergences are from; empty: the first model
  std::vector<bench::Verdict> verdicts;
  bool partial = false;
};

// Of what was measured; `metrics`: size, memory, speed, quality.
std::vector<bench::Verdict> verdicts_of(const std::vector<ComparedModel>& models,
                                        const std::vector<std::string>& metrics);

// {models: [...], verdicts: [{metric, winner, ratio, low, high}]}, and "partial": true where it was
// stopped. `machine`: bench::machine_json.
nlohmann::ordered_json to_json(const ComparisonReport& report,
                               const nlohmann::ordered_json& machine);
std::string table_of(const ComparisonReport& report);

}  // namespace pajamas::cli
