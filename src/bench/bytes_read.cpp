#include "bench/bytes_read.h"

#include <algorithm>

namespace pajamas::bench {
namespace {

bool is_of_experts(model::Role role) noexcept {
  using enum model::Role;
  return role == kExpertGate || role == kExpertUp || role == kExpertDown ||
         role == kExpertGateBias || role == kExpertUpBias || role == kExpertDownBias;
}

}  // namespace

std::uint64_t bytes_per_token(const model::ModelConfig& config, model::Role role,
                              const Shape& shape, std::uint64_t bytes) {
  if (role == model::Role::kTokenEmbedding && !config.tied_output) return bytes / shape.rows();
  if (is_of_experts(role)) return bytes / config.experts * config.experts_used;
  return bytes;
}

std::uint64_t bytes_per_token(const model::Checkpoint& checkpoint) {
  std::uint64_t bytes = 0;
  for (const model::StoredTensor& tensor : checkpoint.tensors()) {
    bytes += bytes_per_token(checkpoint.config(), tensor.key.role, tensor.shape, tensor.bytes());
  }
  return bytes;
}

std::uint64_t cache_bytes_per_token(const model::ModelConfig& config,
                                    const runtime::EngineOptions& options, std::uint64_t depth) {
  const std::uint64_t per_layer =
      runtime::memory_needs(config, options).per_position / config.layers;
  std::uint64_t positions = 0;
  for (std::uint64_t layer = 0; layer < config.layers; ++layer) {
    const std::uint64_t window = config.window(layer);  // its own position included
    positions += window == 0 ? depth : std::min(depth, window - 1);
  }
  return positions * per_layer;
}

}  // namespace pajamas::bench
