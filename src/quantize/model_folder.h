// Outputs that are folders of safetensors shards, configuration and tokenizer: what MLX and FP8
// have in common.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "quantize/plan.h"
#include "quantize/plan_input.h"

namespace pajamas::quantize {

// What a plane of a tensor is called in the files, its type and its shape: one entry, or one for
// each matrix of a stack, which lie side by side.
using StoredPlane =
    std::function<std::vector<io::SafetensorsSpec>(const PlannedTensor&, std::size_t plane)>;

// Puts the tensors into shards in their order, each up to `limit` bytes and at least one tensor.
// Returns the shard of every stored name.
std::map<std::string, std::string> lay_out_shards(
    PlannedOutput& output, std::uint64_t limit, const std::map<std::string, std::string>& metadata,
    const StoredPlane& stored_plane);

// model.safetensors.index.json, once the tensors are laid out.
SmallFile make_index(const PlannedOutput& output, const std::map<std::string, std::string>& shards,
                     std::uint64_t parameters);

// The source's config.json; of a GGUF file one that says what its metadata say.
nlohmann::json source_config(const PlanInput& input);

// Tokenizer, chat templates, generation settings and licence, as the source has them.
void add_companions(const PlanInput& input, PlannedOutput& output);

}  // namespace pajamas::quantize
