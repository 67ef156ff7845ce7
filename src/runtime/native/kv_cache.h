// The keys and values of one session, in blocks that grow with it and that forks share.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "model/config.h"
#include "runtime/native/buffer.h"

namespace pajamas::runtime {

// The keys, and the values, of kPositions consecutive positions of one layer, float32:
// [kv_heads][kPositions][head_dim].
struct KvBlock {
  static constexpr std::uint32_t kPositions = 128;
  FloatBuffer keys;
  FloatBuffer values;
};

class KvCache {
 public:
  explicit KvCache(const model::ModelConfig& config);
  // A fork: shares all blocks until one of the two writes.
  KvCache(const KvCache&) = default;
  KvCache& operator=(const KvCache&) = delete;

  // Bytes that a session of `positions` takes.
  static std::uint64_t bytes_for(const model::ModelConfig& config, std::uint64_t positions);

  std::uint32_t length() const noexcept { return length_; }
  // Makes room for, and counts, the positions up to `length`; blocks that are about to be written
  // and are shared with a fork are copied. Throws std::bad_alloc and is then unchanged in effect.
  void extend(std::uint32_t length);
  void truncate(std::uint32_t length);

  // Stores one position below length(); both are [kv_heads][head_dim].
  void put(std::uint64_t layer, std::uint32_t position, std::span<const float> keys,
           std::span<const float> values) noexcept;

  // The block that holds `position`, and where a head begins in it.
  const KvBlock& block(std::uint64_t layer, std::uint32_t position) const noexcept {
    return *layers_[layer][position / KvBlock::kPositions];
  }
  std::size_t head_offset(std::uint64_t kv_head) const noexcept {
    return kv_head * KvBlock::kPositions * head_dim_;
  }

 private:
  std::uint64_t kv_heads_;
  std::uint64_t head_dim_;
  std::uint32_t length_ = 0;
  std::vector<std::vector<std::shared_ptr<KvBlock>>> layers_;
};

}  // namespace pajamas::runtime
