// The backend "mlx": Apple's MLX library, which comes in a plug-in of its own
// (runtime/mlx/plugin/), so that this program starts without it.
#pragma once

#include <filesystem>
#include <memory>
#include <span>

#include "runtime/backend.h"

namespace pajamas::runtime {

// Its plug-in is looked for when something is first asked of it: beside the program as it was
// built, above its tests, or where it was installed.
const Backend& mlx_backend() noexcept;
// One of a plug-in in the first of these folders that has a fitting one; what it makes may be used
// for as long as the process lives.
std::unique_ptr<Backend> mlx_backend_of(std::span<const std::filesystem::path> folders);

}  // namespace pajamas::runtime
