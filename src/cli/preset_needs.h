// What the presets come to for a model: files, memory, and what a token reads; computed from plans.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "quantize/plan_input.h"
#include "quantize/preset.h"

namespace pajamas::cli {

// One output of a preset, for a model.
struct OutputNeeds {
  const quantize::PresetOutput* output = nullptr;
  std::uint64_t file_bytes = 0;
  double bits_per_weight = 0;
  std::uint64_t memory_bytes = 0;     // file, keys and values, work
  std::uint64_t bytes_per_token = 0;  // weights, and keys and values of a full cache
  // With no more than two layers in memory, or of a mixture the experts of two, and all that lies
  // outside of them; the rest is read from the disk for each token.
  std::uint64_t streamed_memory = 0;
};
struct PresetNeeds {
  const quantize::Preset* preset = nullptr;
  std::vector<OutputNeeds> outputs;
  std::optional<std::uint64_t> goal_bytes;  // where this is the model that the goals are for
};
struct ModelPresets {
  std::string name;
  quantize::ModelKind kind;
  std::uint64_t weights = 0;
  std::uint64_t context = 0;
  std::vector<PresetNeeds> presets;
  std::uint64_t smallest_file = 0;  // GGUF of nothing but the smallest types

  bool is_mixture() const noexcept { return kind != quantize::ModelKind::kDense; }
  double smallest_bits() const noexcept {
    return static_cast<double>(smallest_file) * 8 / static_cast<double>(weights);
  }
};

// `context`: positions of the KV cache; 0: the usual number.
ModelPresets presets_needs(const quantize::PlanInput& input, std::uint64_t context);
// Of the published models that presets were made for.
std::vector<ModelPresets> published_presets(std::uint64_t context);

// What the project hopes for of a model of this shape and kind under a preset's name; nothing for
// other shapes.
std::optional<std::uint64_t> goal_of(const quantize::Preset& preset, std::uint64_t weights);

}  // namespace pajamas::cli
