// What to take for people who do not want to choose: a name stands for outputs, types of tensors
// and a type of KV cache, by the kind of model.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "model/role.h"
#include "quantize/plan_input.h"
#include "quantize/recipe.h"

namespace pajamas::quantize {

enum class ModelKind : std::uint8_t { kDense, kExperts, kMxfp4Experts };
ModelKind kind_of(const PlanInput& input) noexcept;
std::string_view kind_name(ModelKind kind) noexcept;  // "dense models"

// The type of all matrices of these roles, as --tensor-type spells it; empty: as the source has
// plain numbers, so that nothing is lost.
struct RoleType {
  std::span<const model::Role> roles;
  std::string_view type;
  std::string_view full = {};  // of layers that attend to everything where others have a window
};

struct PresetOutput {
  Format format;
  std::string_view method;  // canonical; of what no RoleType names
  std::string_view what;    // for people
  std::span<const RoleType> types = {};
  MlxOptions mlx = {};
};

struct Preset {
  ModelKind kind;
  std::string_view name;       // "ultra"
  std::string_view purpose;    // a sentence
  std::string_view kv_cache;   // a name of runtime/kv_types.h
  std::string_view published;  // the model it was made for, as in models/configs
  std::uint64_t goal_bytes;    // what the project hopes for there: a file, else resident memory
  std::span<const PresetOutput> outputs;
};

std::span<const Preset> presets() noexcept;
std::vector<std::string_view> preset_names();  // each once

// Throws Error{kUsage} at --preset for what is no name of any.
void check_preset_name(std::string_view name);
// The one of this name for the input's kind; upper or lower case. Throws Error{kUsage} at --preset
// naming those there are.
const Preset& preset_for(const PlanInput& input, std::string_view name);

// `recipe` becomes that of an output of the preset: all but its path, what was said of single
// tensors, and flags.
void apply_preset(const Preset& preset, const PresetOutput& output, const PlanInput& input,
                  Recipe& recipe);

}  // namespace pajamas::quantize
