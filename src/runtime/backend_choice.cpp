#include "runtime/backend_choice.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "runtime/backend.h"

namespace pajamas::runtime {

BackendChoice choose_backend(const BackendFacts& facts) {
  const bool mlx_directory = facts.container == model::Container::kMlx;
  std::string why_not;
  if (mlx_directory && facts.apple_silicon) {
    const auto obstacle = facts.obstacle("mlx");
    if (!obstacle) return {"mlx", "an MLX directory on Apple silicon", true};
    why_not = fmt::format("mlx cannot run it: {}", *obstacle);
  }
  // No such backend is built yet; the rule knows its name.
  if (!facts.obstacle("cuda")) return {"cuda", "there is a GPU for it", true};
  if (!why_not.empty()) return {"cpu", std::move(why_not), true};
  if (mlx_directory) return {"cpu", "mlx is chosen on Apple silicon alone", true};
  return {"cpu", "nothing faster is there for this format", false};
}

bool on_apple_silicon() noexcept {
#if defined(__APPLE__) && defined(__aarch64__)
  return true;
#else
  return false;
#endif
}

BackendChoice choice_here(model::Container container, const EngineOptions& options) {
  const auto obstacle = [&](std::string_view name) -> std::optional<std::string> {
    const auto all = backends();
    const auto found = std::ranges::find(all, name, &Backend::name);
    if (found == all.end()) return fmt::format("this program has no backend \"{}\"", name);
    if (!(*found)->available()) return (*found)->description();
    try {
      (*found)->require_options(options);
    } catch (const Error& error) {
      return error.problem();
    }
    return std::nullopt;
  };
  return choose_backend({on_apple_silicon(), container, obstacle});
}

std::optional<BackendChoice> settle_backend(model::Container container, EngineOptions& options) {
  if (!options.any_backend) return std::nullopt;
  BackendChoice choice = choice_here(container, options);
  options.backend = &backend_by_name(choice.name);
  options.any_backend = false;
  return choice;
}

}  // namespace pajamas::runtime
