// The backend "cpu": this machine's processors, which are always there.
#pragma once

#include "runtime/backend.h"

namespace pajamas::runtime {

const Backend& cpu_backend() noexcept;

}  // namespace pajamas::runtime
