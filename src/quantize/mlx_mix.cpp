// Facts of kStock: mlx-lm 0.32, convert.py. kRoles: docs/mlx-recipes.md has what it gains.
#include "quantize/mlx_mix.h"

namespace pajamas::quantize {
namespace {

using model::Role;

bool is_down(Role role) noexcept { return role == Role::kFfnDown || role == Role::kExpertDown; }

bool stock_has_more(const model::TensorSpec& tensor, int layers) noexcept {
  if (tensor.key.role == Role::kOutput) return true;
  if (tensor.key.role != Role::kAttnV && !is_down(tensor.key.role)) return false;
  const int eighth = layers / 8, layer = tensor.key.layer;
  return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

bool role_has_more(Role role, bool is_mixture) noexcept {
  switch (role) {
    case Role::kTokenEmbedding:
    case Role::kOutput:
    case Role::kAttnV:
    case Role::kAttnOutput:
    case Role::kFfnDown:
      return true;
    case Role::kAttnQ:
    case Role::kAttnK:
      return is_mixture;
    default:
      return false;
  }
}

}  // namespace

int mixed_bits(const MlxMethodInfo& method, const model::TensorSpec& tensor, int layers,
               bool is_mixture) noexcept {
  switch (method.mix) {
    case MlxMix::kStock:
      return stock_has_more(tensor, layers) ? method.more_bits : method.bits;
    case MlxMix::kRoles:
      return role_has_more(tensor.key.role, is_mixture) ? method.more_bits : method.bits;
    case MlxMix::kNone:
      break;
  }
  return method.bits;
}

}  // namespace pajamas::quantize
