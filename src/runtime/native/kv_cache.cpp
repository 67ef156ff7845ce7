#include "runtime/native/kv_cache.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"

namespace pajamas::runtime {
namespace {

std::uint64_t blocks_for(std::uint64_t positions) {
  return (positions + KvBlock::kPositions - 1) / KvBlock::kPositions;
}

// Blocks that a layer keeps; 0: all. After a step of kMaxStep its first row still sees its whole
// window, wherever in a block the step began.
std::uint64_t most_blocks(std::uint64_t window) {
  if (window == 0) return 0;
  return blocks_for(checked_add(window, KvCache::kMaxStep + KvBlock::kPositions - 2));
}

}  // namespace

KvCache::KvCache(const model::ModelConfig& config, KvType type)
    : kv_heads_(config.kv_heads), row_(type, config.head_dim), layers_(config.layers) {
  for (std::uint64_t i = 0; i < config.layers; ++i) {
    layers_[i].window = config.window(i);
    layers_[i].most = most_blocks(config.window(i));
  }
}

std::uint64_t KvCache::bytes_per_position(const model::ModelConfig& config, KvType type) {
  const KvRow row(type, config.head_dim);
  return checked_mul(checked_mul(config.layers, 2 * config.kv_heads), row.bytes);
}

std::uint64_t KvCache::bytes_for(const model::ModelConfig& config, std::uint64_t positions,
                                 KvType type) {
  const KvRow row(type, config.head_dim);
  const std::uint64_t block = 2 * config.kv_heads * KvBlock::kPositions * row.bytes;
  std::uint64_t blocks = 0;
  for (std::uint64_t i = 0; i < config.layers; ++i) {
    const std::uint64_t most = most_blocks(config.window(i));
    const std::uint64_t all = blocks_for(positions);
    blocks = checked_add(blocks, most == 0 ? all : std::min(all, most));
  }
  return checked_mul(blocks, block);
}

std::uint64_t KvCache::bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const Layer& layer : layers_) {
    for (const auto& block : layer.blocks) sum += block->keys.size() + block->values.size();
  }
  return sum;
}

void KvCache::extend(std::uint32_t length) {
  PJ_CHECK(length >= length_ && length - length_ <= kMaxStep);
  const std::size_t first_written = length_ / KvBlock::kPositions;
  const std::size_t bytes = kv_heads_ * KvBlock::kPositions * row_.bytes;
  const std::size_t end = blocks_for(length);
  for (Layer& layer : layers_) {
    // Only the last block can be partly filled, and so be shared and yet be written to.
    const std::size_t at = first_written - layer.first;
    if (length > length_ && at < layer.blocks.size() && layer.blocks[at].use_count() > 1) {
      layer.blocks[at] = std::make_shared<KvBlock>(*layer.blocks[at]);
    }
    if (layer.most != 0 && end > layer.first + layer.most) {
      const std::size_t dropped = std::min(end - layer.most - layer.first, layer.blocks.size());
      layer.blocks.erase(layer.blocks.begin(),
                         layer.blocks.begin() + static_cast<std::ptrdiff_t>(dropped));
      layer.first += dropped;
    }
    while (layer.first + layer.blocks.size() < end) {
      layer.blocks.push_back(
          std::make_shared<KvBlock>(KvBlock{ByteBuffer(bytes), ByteBuffer(bytes)}));
    }
  }
  length_ = length;
}

std::uint32_t KvCache::truncate(std::uint32_t length) {
  if (length >= length_) return length_;
  // The next token, at `length`, must find its whole window.
  const bool gone = std::ranges::any_of(layers_, [&](const Layer& layer) {
    return layer.first * KvBlock::kPositions + layer.window > std::uint64_t{length} + 1 &&
           layer.first > 0;
  });
  length_ = gone ? 0 : length;
  for (Layer& layer : layers_) {
    if (length_ == 0) layer.first = 0;
    const std::size_t left = blocks_for(length_) - layer.first;
    layer.blocks.resize(std::min(layer.blocks.size(), left));
  }
  return length_;
}

void KvCache::store(const kernels::KernelTable& kernels, std::span<const float> rows,
                    std::uint32_t position, ByteBuffer& to) const {
  thread_local ByteBuffer encoded;  // all heads at once, so that encoding fills its vectors
  encoded.resize(kv_heads_ * row_.bytes);
  encode_kv(kernels, row_, rows, encoded);
  const std::size_t slot = position % KvBlock::kPositions;
  for (std::uint64_t head = 0; head < kv_heads_; ++head) {
    std::copy_n(encoded.data() + head * row_.bytes, row_.bytes,
                to.data() + (head * KvBlock::kPositions + slot) * row_.bytes);
  }
}

void KvCache::put(const kernels::KernelTable& kernels, std::uint64_t layer, std::uint32_t position,
                  std::span<const float> keys, std::span<const float> values) {
  const Layer& at = layers_[layer];
  KvBlock& block = *at.blocks[position / KvBlock::kPositions - at.first];
  try {
    store(kernels, keys, position, block.keys);
    store(kernels, values, position, block.values);
  } catch (Error& error) {
    error.at(fmt::format("layer {}", layer));
    throw;
  }
}

}  // namespace pajamas::runtime
