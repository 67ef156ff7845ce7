// Plans of the models that the tests know, and what to ask of a plan.
#pragma once

#include <algorithm>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>

#include "io/temp.h"
#include "paths.h"
#include "quantize/plan.h"
#include "quantize/plan_input.h"

namespace pajamas::quantize {

namespace fs = std::filesystem;
using model::Role;

inline const fs::path kSource = source_dir();
inline const fs::path kTiny = kSource / "models/tiny-qwen2";
inline const fs::path kQwen3 = kSource / "models/configs/Qwen3-30B-A3B.json";
inline const fs::path kGptOss = kSource / "models/configs/gpt-oss-20b.json";

inline Recipe recipe(Format format, std::string method) {
  Recipe result;
  result.format = format;
  result.method = std::move(method);
  result.output = "out";
  return result;
}

inline void override_type(Recipe& recipe, std::string_view text) {
  const Format formats[] = {recipe.format};
  recipe.overrides.push_back(parse_type_override(text, formats));
}

inline PlannedOutput planned(const PlanInput& input, const Recipe& recipe) {
  return make_plan(input, {recipe}, 1).outputs[0];
}

inline const PlannedTensor& find(const PlannedOutput& output, Role role, int layer) {
  const auto found = std::ranges::find_if(output.tensors, [&](const PlannedTensor& t) {
    return t.content.empty() && t.spec.key == model::TensorKey{role, layer};
  });
  if (found == output.tensors.end()) throw std::runtime_error("no such tensor");
  return *found;
}

inline std::string type_of(const PlannedOutput& output, Role role, int layer = 0) {
  return find(output, role, layer).encoding.name();
}

inline bool any_note(const Plan& plan, std::string_view part, std::string_view also = "") {
  return std::ranges::any_of(plan.notes, [&](const std::string& note) {
    return note.find(part) != std::string::npos && note.find(also) != std::string::npos;
  });
}

using Types = std::map<std::string, std::string>;
inline Types types(const PlannedOutput& output) {
  Types result;
  for (const PlannedTensor& tensor : output.tensors) result[tensor.name] = tensor.encoding.name();
  return result;
}

}  // namespace pajamas::quantize
