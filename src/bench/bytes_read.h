// What one token makes an engine read: the bound of its speed.
#pragma once

#include <cstdint>

#include "model/checkpoint.h"
#include "runtime/backend.h"

namespace pajamas::bench {

// Bytes that the weights of one tensor make the processor read for a token: a row of an embedding
// that is not the output too, of a stack the experts that are used, otherwise all.
std::uint64_t bytes_per_token(const model::ModelConfig& config, model::Role role,
                              const Shape& shape, std::uint64_t bytes);
// The same of all tensors.
std::uint64_t bytes_per_token(const model::Checkpoint& checkpoint);

// Bytes of keys and values that a token sees which `depth` others came before; a sliding window
// shows no more than its positions.
std::uint64_t cache_bytes_per_token(const model::ModelConfig& config,
                                    const runtime::EngineOptions& options, std::uint64_t depth);

}  // namespace pajamas::bench
