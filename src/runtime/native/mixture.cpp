#include "runtime/native/mixture.h"

#include <array>

namespace pajamas::runtime {

using model::Role;
using model::TensorKey;

void mix_experts(Device& device, int layer, const ExpertWork& work, LinearTap* tap,
                 TapReader& reader) {
  device.route(work.scores, work.routing);
  device.gather(work.routing, work.x, work.rows);
  const std::array first{Projection{{Role::kExpertGate, layer}, Role::kExpertGateBias, work.gate},
                         Projection{{Role::kExpertUp, layer}, Role::kExpertUpBias, work.up}};
  // What has come in has been used up then, and has the size.
  const std::array second{Projection{{Role::kExpertDown, layer}, Role::kExpertDownBias, work.rows}};
  // On their way while gate and up are computed.
  const std::array next{TensorKey{Role::kExpertDown, layer},
                        TensorKey{Role::kExpertDownBias, layer}};
  if (tap != nullptr) reader.show_experts(*tap, first, work.routing, work.rows);
  device.expert_linear(work.routing, work.rows, first, next);
  device.activate(work.gate, work.up);
  if (tap != nullptr) reader.show_experts(*tap, second, work.routing, work.gate);
  device.expert_linear(work.routing, work.gate, second, {});
  device.combine(work.routing, work.rows, work.update);
}

}  // namespace pajamas::runtime
