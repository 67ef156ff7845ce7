// The backend "mlx": Apple's MLX library, which comes in a plug-in of its own
// (runtime/mlx/plugin/), so that this program starts without it.
#pragma once

#include "runtime/backend.h"

namespace pajamas::runtime {

const Backend& mlx_backend() noexcept;

}  // namespace pajamas::runtime
