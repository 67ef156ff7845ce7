// What the commands that measure share: their options, and a model that is ready to be measured.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/shape.h"
#include "bench/speed.h"
#include "cli/command.h"
#include "runtime/loaded_model.h"

namespace pajamas::cli {

// What is asked of the speed.
struct SpeedFlags {
  std::vector<std::string> contexts;
  std::int64_t prompt_tokens = 512;
  std::int64_t generation_tokens = 128;
  std::int64_t repeats = 3;
};
void add_speed_options(const Command& command, SpeedFlags& flags);

// Without contexts where none are given. Throws Error{kUsage}, naming the option.
bench::SpeedQuestion speed_question(const SpeedFlags& flags);

// Settles contexts that nobody gave, and `engine.context`. Throws as bench::require_room.
void fit_question(const model::ModelConfig& config, runtime::EngineOptions& engine,
                  bench::SpeedQuestion& question);

// A model of files, or one of a shape.
struct MeasuredModel {
  std::optional<runtime::LoadedModel> loaded;
  std::unique_ptr<runtime::Engine> shaped;
  std::string name;    // in the report
  std::string about;   // for people
  std::string format;  // of a model of files: "GGUF", "MLX", "Hugging Face"
  std::uint64_t file_bytes = 0;
  std::uint64_t tensor_bytes = 0;
  std::uint64_t weight_bytes_per_token = 0;
  double load_seconds = 0;

  runtime::Engine& engine() const noexcept { return shaped ? *shaped : loaded->engine(); }
};

// Opens the model at `path`, which the user calls `given`; contexts are settled before it is
// loaded.
std::unique_ptr<MeasuredModel> open_measured(const std::string& path, const std::string& given,
                                             runtime::EngineOptions& engine,
                                             bench::SpeedQuestion& question, Context& context);

// "107 (67.4..124)"
std::string spread_text(const std::optional<bench::Spread>& spread);

}  // namespace pajamas::cli
