// What `targets` prints.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/report.h"
#include "cli/measured_figures.h"
#include "cli/preset_needs.h"

namespace pajamas::cli {

// Whether a goal is reached, and as what.
enum class GoalAs : std::uint8_t {
  kFile,      // the file is no larger
  kMemory,    // resident memory is, with layers or experts read when they are needed
  kPossible,  // neither, but a file of other types could be
  kNothing,   // no file of the model is that small
};
GoalAs goal_as(const ModelPresets& model, const OutputNeeds& output, std::uint64_t goal);

// A model that was made.
struct MadeModel {
  std::string name;    // as given
  std::string target;  // that was aimed at; empty: it does not say
  std::string format;  // "GGUF", "MLX", "Hugging Face"
  std::string quantization;
  std::uint64_t weights = 0;
  std::uint64_t file_bytes = 0;
  double bits_per_weight = 0;
  std::optional<std::uint64_t> goal_bytes;
  std::string goal_preset;         // whose goal it is
  std::uint64_t context = 0;       // positions of the KV cache that memory is computed for
  std::string kv_cache;            // its type
  std::uint64_t memory_bytes = 0;  // computed: weights, keys and values, work
  std::optional<MeasuredFigures> measured;
  std::optional<bench::SpeedReport> speed;  // measured now
  std::string speed_note;                   // why there is none
  // What a token reads at the depth that the predictions are for.
  std::uint64_t weight_bytes_per_token = 0, cache_bytes_per_token = 0, depth = 0;

  std::uint64_t bytes_per_token() const noexcept {
    return weight_bytes_per_token + cache_bytes_per_token;
  }
};

void print_targets(const ModelPresets& model);
void print_targets(const MadeModel& model);
// Below all tables: what is predicted, and by which formula.
void print_hardware();

nlohmann::ordered_json targets_json(const ModelPresets& model);
nlohmann::ordered_json targets_json(const MadeModel& model);
// {formula, hardware: [{name, bytes_per_second, memory_bytes, source}]}
nlohmann::ordered_json hardware_json();

}  // namespace pajamas::cli
