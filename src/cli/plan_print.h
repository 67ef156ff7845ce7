// Plans as people read them: the sum first, every tensor on request.
#pragma once

#include "quantize/plan.h"
#include "runtime/engine_options.h"

namespace pajamas::cli {

// One line an output: format, method, size, bits per weight, path.
void print_summary(const quantize::Plan& plan);

// The summary, and what of each output is stored as which type.
void print_types(const quantize::Plan& plan);

// What it takes to run each output with these options, to write all of them, and what the types of
// KV cache take.
void print_memory(const quantize::Plan& plan, const model::ModelConfig& config,
                  runtime::EngineOptions options);

// Every tensor with its type and the reason.
void print_tensors(const quantize::Plan& plan);

}  // namespace pajamas::cli
