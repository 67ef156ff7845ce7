// Where a cache's rows lie in this machine's memory: [kv_heads][KvBlock::kPositions][row bytes] in
// the keys, and in the values, of a block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/table.h"
#include "runtime/native/cpu/host_memory.h"
#include "runtime/native/kv_cache.h"

namespace pajamas::runtime {

// Stores one position that there is room for; both are [kv_heads][head_dim]. Different positions
// may be stored at the same time. Throws as encode_kv.
void store_position(const kernels::KernelTable& kernels, const KvCache& cache, std::uint64_t layer,
                    std::uint32_t position, std::span<const float> keys,
                    std::span<const float> values);

// Stored rows of one head from `position` to the end of its block.
inline std::span<const std::byte> rest_of_block(const KvCache& cache, const Buffer& rows,
                                                std::uint64_t kv_head, std::uint32_t position) {
  const std::size_t slot = position % KvBlock::kPositions;
  return host_bytes(rows).subspan(cache.offset(kv_head, position),
                                  (KvBlock::kPositions - slot) * cache.row().bytes);
}
inline std::span<const std::byte> stored_keys(const KvCache& cache, std::uint64_t layer,
                                              std::uint64_t kv_head, std::uint32_t position) {
  return rest_of_block(cache, cache.block(layer, position).keys, kv_head, position);
}
inline std::span<const std::byte> stored_values(const KvCache& cache, std::uint64_t layer,
                                                std::uint64_t kv_head, std::uint32_t position) {
  return rest_of_block(cache, cache.block(layer, position).values, kv_head, position);
}

}  // namespace pajamas::runtime
