#include "model/role.h"

#include <array>

namespace pajamas::model {

std::string_view role_name(Role role) noexcept {
  static constexpr std::array<std::string_view, static_cast<std::size_t>(Role::kCount)> kNames{
      "token_embedding", "output_norm",      "output",           "attn_norm",   "attn_q",
      "attn_k",          "attn_v",           "attn_output",      "attn_q_bias", "attn_k_bias",
      "attn_v_bias",     "ffn_norm",         "ffn_gate",         "ffn_up",      "ffn_down",
      "attn_q_norm",     "attn_k_norm",      "attn_output_bias", "attn_sinks",  "router",
      "router_bias",     "expert_gate",      "expert_up",        "expert_down", "expert_gate_bias",
      "expert_up_bias",  "expert_down_bias",
  };
  return kNames[static_cast<std::size_t>(role)];
}

}  // namespace pajamas::model
