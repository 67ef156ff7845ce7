// The feed-forward half of a layer with experts.
#pragma once

#include "runtime/native/device.h"
#include "runtime/native/tap_reader.h"
#include "runtime/native/workspace.h"

namespace pajamas::runtime {

// work.update = of each row of work.x the sum over its experts of their weight times their output,
// in ascending order. `work.scores` are the router's. Only experts that are chosen are computed,
// each for all of its rows at once. `tap`, if there is one, sees the input of every expert.
void mix_experts(Device& device, int layer, const ExpertWork& work, LinearTap* tap,
                 TapReader& reader);

}  // namespace pajamas::runtime
