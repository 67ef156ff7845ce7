#include "runtime/native/kv_cache.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"

namespace pajamas::runtime {
namespace {

std::size_t blocks_for(std::uint64_t positions) {
  return (positions + KvBlock::kPositions - 1) / KvBlock::kPositions;
}

}  // namespace

KvCache::KvCache(const model::ModelConfig& config)
    : kv_heads_(config.kv_heads), head_dim_(config.head_dim), layers_(config.layers) {}

std::uint64_t KvCache::bytes_for(const model::ModelConfig& config, std::uint64_t positions) {
  const std::uint64_t whole = blocks_for(positions) * KvBlock::kPositions;
  return checked_mul(checked_mul(config.layers, whole), 2 * config.kv_rows() * sizeof(float));
}

void KvCache::extend(std::uint32_t length) {
  PJ_CHECK(length >= length_);
  const std::size_t first_written = length_ / KvBlock::kPositions;
  const std::size_t floats = kv_heads_ * KvBlock::kPositions * head_dim_;
  for (auto& blocks : layers_) {
    // Only the last block can be partly filled, and so be shared and yet be written to.
    if (length > length_ && first_written < blocks.size() &&
        blocks[first_written].use_count() > 1) {
      blocks[first_written] = std::make_shared<KvBlock>(*blocks[first_written]);
    }
    while (blocks.size() < blocks_for(length)) {
      blocks.push_back(
          std::make_shared<KvBlock>(KvBlock{FloatBuffer(floats), FloatBuffer(floats)}));
    }
  }
  length_ = length;
}

void KvCache::truncate(std::uint32_t length) {
  length_ = std::min(length, length_);
  for (auto& blocks : layers_) blocks.resize(std::min(blocks.size(), blocks_for(length_)));
}

void KvCache::put(std::uint64_t layer, std::uint32_t position, std::span<const float> keys,
                  std::span<const float> values) noexcept {
  KvBlock& to = *layers_[layer][position / KvBlock::kPositions];
  const std::size_t slot = (position % KvBlock::kPositions) * head_dim_;
  for (std::uint64_t head = 0; head < kv_heads_; ++head) {
    const std::size_t at = head_offset(head) + slot;
    std::copy_n(keys.data() + head * head_dim_, head_dim_, to.keys.data() + at);
    std::copy_n(values.data() + head * head_dim_, head_dim_, to.values.data() + at);
  }
}

}  // namespace pajamas::runtime
