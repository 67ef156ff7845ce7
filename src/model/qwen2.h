#pragma once

#include "model/architecture.h"

namespace pajamas::model {

const Architecture& qwen2_architecture() noexcept;

}  // namespace pajamas::model
