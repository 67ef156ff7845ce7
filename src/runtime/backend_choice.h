// Which backend runs a model where the user leaves that open (`--backend auto`).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "model/checkpoint.h"
#include "runtime/engine_options.h"

namespace pajamas::runtime {

// The name that is no backend's: "auto".
inline constexpr std::string_view kAnyBackend = "auto";

// All that the choice depends on.
struct BackendFacts {
  bool apple_silicon = false;
  model::Container container = model::Container::kHuggingFace;
  // Why the backend of this name cannot run here with the options at hand; nothing: it can. Asked
  // only of those between which it decides, since asking may load a library.
  std::function<std::optional<std::string>(std::string_view name)> obstacle;
};

struct BackendChoice {
  std::string_view name;
  std::string why;       // "there is no libpajamas_mlx.so beside the program"
  bool notable = false;  // for this model another backend might have been expected
};

// MLX for MLX directories on Apple silicon, CUDA where a GPU is, else the processor.
BackendChoice choose_backend(const BackendFacts& facts);

// Whether this program runs on Apple silicon.
bool on_apple_silicon() noexcept;

// What this machine would choose for a model of this kind with these options.
BackendChoice choice_here(model::Container container, const EngineOptions& options);

// Where options.any_backend says so: puts what this machine chooses into options.backend, and tells
// what that was. Throws nothing for backends that cannot run.
std::optional<BackendChoice> settle_backend(model::Container container, EngineOptions& options);

}  // namespace pajamas::runtime
