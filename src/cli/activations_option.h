// `--activations`: how exactly products of quantized weights are computed.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "runtime/native/linear.h"

namespace pajamas::cli {

// `standard` is the command's own choice, "int8" or "float".
void add_activations_option(CLI::App& command, std::string& name, const std::string& standard);
// Throws Error{kUsage} for a name that is neither.
runtime::Activations activations_of(const std::string& name);

}  // namespace pajamas::cli
