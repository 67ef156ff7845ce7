#include "model/tensor_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace pajamas::model {
namespace {

// Around the whole model.
constexpr std::array<std::string_view, 3> kInFront{"module.", "base_model.model.",
                                                   "language_model."};
// Around any module.
constexpr std::array<std::string_view, 3> kAnywhere{"_orig_mod.", "_fsdp_wrapped_module.",
                                                    "_checkpoint_wrapped_module."};
constexpr std::string_view kLanguageModel = "model.language_model.";
constexpr std::string_view kModel = "model.";
// What stands below "model.".
constexpr std::array<std::string_view, 3> kInside{"layers.", "embed_tokens.", "norm."};
// Parts of a name that PEFT gives what it wraps.
constexpr std::array<std::string_view, 4> kUnmerged{".lora_", ".base_layer.", ".modules_to_save.",
                                                    ".original_module."};

bool starts_inside(std::string_view name) noexcept {
  return std::ranges::any_of(kInside, [&](auto part) { return name.starts_with(part); });
}

// Takes one wrapper off and returns it; empty where there is none.
std::string_view unwrap(std::string& name) {
  for (const std::string_view wrapper : kInFront) {
    if (!name.starts_with(wrapper)) continue;
    name.erase(0, wrapper.size());
    return wrapper;
  }
  if (name.starts_with(kLanguageModel)) {
    name.erase(0, kLanguageModel.size());
    if (starts_inside(name)) name.insert(0, kModel);
    return kLanguageModel;
  }
  for (const std::string_view wrapper : kAnywhere) {
    const std::size_t at = name.find(wrapper);
    if (at == std::string::npos || (at > 0 && name[at - 1] != '.')) continue;
    name.erase(at, wrapper.size());
    return wrapper;
  }
  return {};
}

}  // namespace

PlainName plain_name(std::string_view stored) {
  PlainName plain{std::string(stored), {}};
  std::string wrappers;
  for (std::string_view wrapper; !(wrapper = unwrap(plain.name)).empty();) wrappers += wrapper;
  if (!wrappers.empty()) plain.difference = fmt::format("under \"{}\"", wrappers);
  if (starts_inside(plain.name)) {
    plain.name.insert(0, kModel);
    if (wrappers.empty()) plain.difference = "without \"model.\"";
  }
  return plain;
}

std::string_view module_of(std::string_view weight) noexcept {
  constexpr std::string_view kWeight = ".weight";
  if (weight.ends_with(kWeight)) weight.remove_suffix(kWeight.size());
  return weight;
}

bool is_unmerged_adapter(std::string_view stored) noexcept {
  return std::ranges::any_of(
      kUnmerged, [&](auto part) { return stored.find(part) != std::string_view::npos; });
}

}  // namespace pajamas::model
