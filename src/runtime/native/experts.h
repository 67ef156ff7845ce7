// The feed-forward half of a layer with experts.
#pragma once

#include <cstdint>
#include <span>

#include "model/config.h"
#include "runtime/native/constants.h"
#include "runtime/native/linear.h"
#include "weights/store.h"

namespace pajamas::runtime {

// One row's experts, in ascending order, and what each counts: [used] both.
// `scores` are the router's [experts]; they are overwritten. Of equal scores the first is chosen.
void choose_experts(const model::ModelConfig& config, std::span<float> scores,
                    std::span<std::uint32_t> experts, std::span<float> weights);

// gate = activation(gate) * up, element by element.
void activate(const Device& device, const model::ModelConfig& config, std::span<float> gate,
              std::span<const float> up);

// out[m] = sum over the chosen experts of their weight times their output, in ascending order.
// Only chosen experts are computed, each for all of its rows at once. `x` and `out` are
// [rows][hidden]; out is overwritten. `tap` sees the router's input and that of every expert.
void mix_experts(const Device& device, const weights::WeightStore& store,
                 const Constants& constants, int layer, Rows x, std::span<float> out,
                 LinearTap* tap = nullptr);

// Bytes of work that mix_experts takes for so many rows.
std::uint64_t expert_work_bytes(const model::ModelConfig& config, std::uint64_t rows);

}  // namespace pajamas::runtime
