#include "runtime/native/kv_cache.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"

namespace pajamas::runtime {
namespace {

std::uint64_t blocks_for(std::uint64_t positions) {
  return (positions + KvBlock::kPositions - 1) / KvBlock::kPositions;
}

// Blocks that a layer keeps; 0: all. After a step of kMaxStep, and the positions that a scheduler
// runs ahead, its first row still sees its whole window, wherever in a block the step began.
std::uint64_t most_blocks(std::uint64_t window) {
  if (window == 0) return 0;
  return blocks_for(
      checked_add(window, KvCache::kMaxStep + Engine::kMostAhead + KvBlock::kPositions - 2));
}

}  // namespace

KvCache::KvCache(Allocator& memory, const model::ModelConfig& config, KvType type)
    : memory_(&memory),
      kv_heads_(config.kv_heads),
      row_(type, config.head_dim),
      layers_(config.layers) {
  for (std::uint64_t i = 0; i < layers_.size(); ++i) {
    layers_[i].window = config.window(i);
    layers_[i].most = most_blocks(layers_[i].window);
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
    for (const auto& block : layer.blocks) sum += block->keys.bytes() + block->values.bytes();
  }
  return sum;
}

void KvCache::make_room(std::uint64_t index, std::uint32_t length) {
  Layer& layer = layers_[index];
  PJ_CHECK(length >= layer.length && length - layer.length <= kMaxStep);
  const std::size_t bytes = kv_heads_ * KvBlock::kPositions * row_.bytes;
  const std::size_t end = blocks_for(length);
  // Whatever may fail comes first. Only the last block can be partly filled, and so be shared and
  // yet be written to.
  std::shared_ptr<KvBlock> own;
  const std::size_t at = layer.length / KvBlock::kPositions - layer.first;
  if (length > layer.length && at < layer.blocks.size() && layer.blocks[at].use_count() > 1) {
    const KvBlock& shared = *layer.blocks[at];
    own = std::make_shared<KvBlock>(
        KvBlock{memory_->copy(shared.keys), memory_->copy(shared.values)});
  }
  std::vector<std::shared_ptr<KvBlock>> more;
  while (layer.first + layer.blocks.size() + more.size() < end) {
    more.push_back(
        std::make_shared<KvBlock>(KvBlock{memory_->allocate(bytes), memory_->allocate(bytes)}));
  }
  layer.blocks.reserve(layer.blocks.size() + more.size());

  if (own != nullptr) layer.blocks[at] = std::move(own);
  layer.blocks.insert(layer.blocks.end(), more.begin(), more.end());
  if (layer.most != 0 && layer.blocks.size() > layer.most) {
    const std::size_t dropped = layer.blocks.size() - layer.most;
    layer.blocks.erase(layer.blocks.begin(),
                       layer.blocks.begin() + static_cast<std::ptrdiff_t>(dropped));
    layer.first += dropped;
  }
}

void KvCache::count(std::uint64_t layer, std::uint32_t length) noexcept {
  layers_[layer].length = length;
}

std::uint32_t KvCache::truncate(std::uint32_t length) {
  // The next token, at `length`, must find its whole window.
  const bool gone = std::ranges::any_of(layers_, [&](const Layer& layer) {
    return length < layer.length && layer.first > 0 &&
           layer.first * KvBlock::kPositions + layer.window > std::uint64_t{length} + 1;
  });
  for (std::uint64_t i = 0; i < layers_.size(); ++i) {
    Layer& layer = layers_[i];
    if (gone) {
      forget(i);
    } else if (length < layer.length) {
      layer.length = length;
      const std::size_t left = blocks_for(length) - layer.first;
      layer.blocks.resize(std::min(layer.blocks.size(), left));
    }
  }
  return this->length();
}

void KvCache::forget(std::uint64_t index) noexcept {
  Layer& layer = layers_[index];
  layer.length = 0;
  layer.first = 0;
  layer.blocks = {};
}

}  // namespace pajamas::runtime
