// The keys and values of one session, in blocks that grow with it and that forks share. Every layer
// has a length of its own: it grows, and its window moves, when that layer runs. This is their
// bookkeeping; what the blocks hold, and how, is known to the device whose memory they are.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "model/config.h"
#include "runtime/native/device.h"
#include "runtime/native/kv_row.h"

namespace pajamas::runtime {

// The keys, and the values, of kPositions consecutive positions of one layer, as stored:
// [kv_heads][kPositions][row bytes].
struct KvBlock {
  static constexpr std::uint32_t kPositions = 128;
  Buffer keys;
  Buffer values;
};

class KvCache {
 public:
  // Positions that `make_room` may be ahead of a layer's length. A layer with a sliding window
  // keeps so many beside the window, for the rows of a batch that come first and for truncations
  // that go back a little.
  static constexpr std::uint32_t kMaxStep = 512;

  // `memory` must outlive the cache.
  KvCache(Allocator& memory, const model::ModelConfig& config, KvType type);
  // A fork: shares all blocks until one of the two writes.
  KvCache(const KvCache&) = default;
  KvCache& operator=(const KvCache&) = delete;

  // Bytes of keys and values that a session of `positions` holds: exact, in whole blocks, and
  // never less for more positions.
  static std::uint64_t bytes_for(const model::ModelConfig& config, std::uint64_t positions,
                                 KvType type);
  // What one position adds while no window is full.
  static std::uint64_t bytes_per_position(const model::ModelConfig& config, KvType type);
  // What this session holds, blocks that it shares with forks included.
  std::uint64_t bytes() const noexcept;

  const KvRow& row() const noexcept { return row_; }
  // Positions that all layers have seen, as long as they run in order: those of the last layer.
  std::uint32_t length() const noexcept { return layers_.back().length; }
  std::uint32_t length(std::uint64_t layer) const noexcept { return layers_[layer].length; }

  // Makes room in one layer for the positions up to `length`, at most kMaxStep more than it has;
  // they may then be stored, and read, but do not count. Blocks that are about to be written and
  // are shared with a fork are copied, and those that no window will reach are dropped. Throws
  // std::bad_alloc and has then changed nothing.
  void make_room(std::uint64_t layer, std::uint32_t length);
  // Counts the positions up to `length`, for which there is room.
  void count(std::uint64_t layer, std::uint32_t length) noexcept;
  // Forgets, in every layer, the positions from `length` on and returns the length that is left.
  // That is 0 where a sliding window would reach back to positions that have been dropped, which
  // never happens within kMaxStep and Engine::kMostAhead of the greatest length since it was 0.
  // Fork to keep a place to come back to.
  std::uint32_t truncate(std::uint32_t length);
  // Gives one layer's memory back; its length is 0.
  void forget(std::uint64_t layer) noexcept;

  // For the device: where a position is stored, there being room for it, and where in the block's
  // keys and values a row of it begins, in bytes.
  const KvBlock& block(std::uint64_t layer, std::uint32_t position) const noexcept {
    const Layer& at = layers_[layer];
    return *at.blocks[position / KvBlock::kPositions - at.first];
  }
  std::size_t offset(std::uint64_t kv_head, std::uint32_t position) const noexcept {
    return (kv_head * KvBlock::kPositions + position % KvBlock::kPositions) * row_.bytes;
  }

 private:
  struct Layer {
    std::uint32_t length = 0;  // positions that count
    std::size_t most = 0;      // blocks to keep; 0: all
    std::size_t first = 0;     // number of blocks.front()
    std::uint64_t window = 0;
    std::vector<std::shared_ptr<KvBlock>> blocks;
  };

  Allocator* memory_;
  std::uint64_t kv_heads_;
  KvRow row_;
  std::vector<Layer> layers_;
};

}  // namespace pajamas::runtime
