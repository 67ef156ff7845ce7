// Texts as run_layer_major takes them: chunks of equal length, each from an empty cache.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "runtime/engine.h"

namespace pajamas::runtime {

using Chunk = std::vector<std::int32_t>;

// Whole chunks of `context` tokens one after the other; what is left at the end is dropped. `bos`
// replaces the first token of each, as llama.cpp does.
std::vector<Chunk> cut_chunks(std::span<const std::int32_t> tokens, std::uint32_t context,
                              std::optional<std::int32_t> bos);

// The chunks as batches of at most `most` rows, for run_layer_major: session i is chunk i, and a
// batch may hold the end of one and the beginning of the next.
std::vector<std::vector<BatchRow>> batches_of(std::span<const Chunk> chunks, std::size_t most);

}  // namespace pajamas::runtime
