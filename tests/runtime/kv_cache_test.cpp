#include "runtime/native/kv_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "runtime/native/cpu/kv_rows.h"

namespace pajamas::runtime {
namespace {

// Three layers, the middle one with a window.
model::ModelConfig config_with_window(std::uint64_t window) {
  model::ModelConfig config;
  config.layers = 3;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 32;
  config.sliding_layers = {false, true, false};
  config.sliding_window = window;
  return config;
}

// As when all layers run one after the other.
void extend(KvCache& cache, std::uint32_t length) {
  for (std::uint64_t layer = 0; layer < 3; ++layer) {
    cache.make_room(layer, length);
    cache.count(layer, length);
  }
}

class Filled {
 public:
  Filled(std::uint64_t window, KvType type) : config_(config_with_window(window)) {
    cache = std::make_unique<KvCache>(memory, config_, type);
  }
  // Key and value of a position are its number, so that any mix-up shows.
  void grow(std::uint32_t length, float shift = 0) {
    const std::uint32_t from = cache->length();
    extend(*cache, length);
    for (std::uint32_t p = from; p < length; ++p) {
      for (std::uint64_t layer = 0; layer < 3; ++layer) {
        std::vector<float> keys(64, value(layer, p) + shift);
        std::vector<float> values(64, -value(layer, p) - shift);
        store_position(kernels::best_kernels(), *cache, layer, p, keys, values);
      }
    }
  }
  static float value(std::uint64_t layer, std::uint32_t position) {
    return static_cast<float>(layer * 10000 + position + 1);
  }
  static float stored(std::span<const std::byte> row) {
    float value;
    std::memcpy(&value, row.data(), sizeof(value));
    return value;
  }
  void expect(const KvCache& in, std::uint64_t layer, std::uint32_t position, float shift = 0) {
    const float exact = value(layer, position) + shift;
    ASSERT_EQ(stored(stored_keys(in, layer, 1, position)), exact) << layer << " " << position;
    ASSERT_EQ(stored(stored_values(in, layer, 0, position)), -exact) << layer << " " << position;
  }
  const model::ModelConfig& config() const { return config_; }

  HostAllocator memory;
  std::unique_ptr<KvCache> cache;

 private:
  model::ModelConfig config_;
};

TEST(KvCache, HoldsTheBytesItSays) {
  for (const KvTypeInfo& type : kKvTypes) {
    for (const std::uint64_t window : {0u, 1u, 100u, 128u, 700u}) {
      Filled filled(window, type.id);
      std::uint64_t before = 0;
      for (std::uint32_t length = 1; length < 3000; length += 97) {
        extend(*filled.cache, length);
        const std::uint64_t bytes = KvCache::bytes_for(filled.config(), length, type.id);
        ASSERT_EQ(filled.cache->bytes(), bytes) << type.name << " " << window << " " << length;
        ASSERT_GE(bytes, before);
        before = bytes;
      }
    }
  }
  // Two full layers of 24 blocks and six blocks of the window's layer, 4 rows of 18 bytes each.
  EXPECT_EQ(KvCache::bytes_for(config_with_window(128), 3000, KvType::kQ4_0),
            (2 * 24 + 6) * 128 * 4 * 18u);
  EXPECT_EQ(KvCache::bytes_per_position(config_with_window(128), KvType::kQ4_0), 3 * 4 * 18u);
}

// After any step the first of its rows sees its whole window, and every other layer everything.
TEST(KvCache, WindowsStayWhole) {
  for (const std::uint32_t step : {1u, 100u, 511u, 512u}) {
    for (const std::uint64_t window : {1u, 127u, 128u, 129u, 300u}) {
      Filled filled(window, KvType::kF32);
      for (std::uint32_t length = step; length < 2600; length += step) {
        const std::uint32_t from = filled.cache->length();
        filled.grow(length);
        if (step == 1 && length % 50 != 0) continue;
        const auto seen = from + 1 > window ? from + 1 - static_cast<std::uint32_t>(window) : 0u;
        for (std::uint32_t p = seen; p < length; ++p) filled.expect(*filled.cache, 1, p);
        for (std::uint32_t p = 0; p < length; p += 31) filled.expect(*filled.cache, 2, p);
      }
    }
  }
}

TEST(KvCache, TruncatesWithinAStepAndGivesUpBeyond) {
  for (const std::uint64_t window : {1u, 128u, 300u}) {
    Filled filled(window, KvType::kF32);
    for (std::uint32_t length = 500; length <= 2500; length += 500) filled.grow(length);
    EXPECT_EQ(filled.cache->truncate(9999), 2500u);
    EXPECT_EQ(filled.cache->truncate(2500 - KvCache::kMaxStep), 2500 - KvCache::kMaxStep);
    filled.grow(2100, 0.5f);
    for (std::uint32_t p = 1989 - static_cast<std::uint32_t>(window); p < 2100; ++p) {
      filled.expect(*filled.cache, 1, p, p < 1988 ? 0 : 0.5f);
    }
    EXPECT_EQ(filled.cache->truncate(700), 0u);
    EXPECT_EQ(filled.cache->length(), 0u);
    EXPECT_EQ(filled.cache->bytes(), 0u);
    filled.grow(300);
    for (std::uint32_t p = 0; p < 300; ++p) filled.expect(*filled.cache, 1, p);
  }
  Filled plain(0, KvType::kF32);
  for (std::uint32_t length = 500; length <= 2500; length += 500) plain.grow(length);
  EXPECT_EQ(plain.cache->truncate(1), 1u);
  plain.expect(*plain.cache, 1, 0);
}

// Wherever a truncation may go back to, the next token finds its window.
TEST(KvCache, EveryTruncationThatIsGrantedLeavesAWholeWindow) {
  for (const std::uint32_t window : {1u, 100u, 128u, 300u}) {
    Filled filled(window, KvType::kF32);
    for (std::uint32_t length = 500; length <= 2500; length += 500) filled.grow(length);
    // Of 20 blocks; a block is keys and values of two heads of 32 floats.
    const std::uint64_t kept = filled.cache->bytes() / (2 * 2 * 128 * 32 * 4) - 2 * 20;
    std::uint32_t furthest = 2500;
    for (std::uint32_t length = 2499; length > 0; --length) {
      KvCache cache = *filled.cache;
      if (cache.truncate(length) == 0) continue;
      ASSERT_EQ(cache.length(), length);
      furthest = length;
      const std::uint32_t seen = length + 1 > window ? length + 1 - window : 0;
      ASSERT_GE(seen, (20 - kept) * 128) << window << " " << length;
      for (std::uint32_t p = seen; p < length; p += 17) filled.expect(cache, 1, p);
    }
    EXPECT_LE(furthest, 2500 - KvCache::kMaxStep);
  }
}

TEST(KvCache, ForksKeepWhatTheOtherDropsOrOverwrites) {
  Filled filled(128, KvType::kF32);
  filled.grow(300);
  const KvCache fork = *filled.cache;
  filled.grow(700);
  filled.grow(1200);
  EXPECT_EQ(filled.cache->truncate(300), 0u);  // its window has moved on
  ASSERT_EQ(fork.length(), 300u);
  for (std::uint32_t p = 0; p < 300; ++p) filled.expect(fork, 1, p);

  Filled other(128, KvType::kF32);
  other.grow(300);
  const KvCache kept = *other.cache;
  EXPECT_EQ(other.cache->truncate(290), 290u);
  other.grow(310, 0.25f);
  for (std::uint32_t p = 0; p < 300; ++p) other.expect(kept, 0, p);
  other.expect(*other.cache, 0, 295, 0.25f);
  other.expect(*other.cache, 0, 289);
}

// A layer that is ahead holds what it needs alone, and falls back with the others.
TEST(KvCache, LayersGrowApart) {
  Filled filled(128, KvType::kF32);
  filled.grow(300);
  const std::uint64_t before = filled.cache->bytes();
  const std::uint64_t block = 2 * 2 * 128 * 32 * 4;  // keys and values of two heads of 32 floats
  KvCache& cache = *filled.cache;
  for (std::uint32_t length = 800; length <= 2300; length += 500) {
    cache.make_room(1, length);
    cache.count(1, length);
  }
  EXPECT_EQ(cache.length(0), 300u);
  EXPECT_EQ(cache.length(1), 2300u);
  EXPECT_EQ(cache.length(), 300u);
  EXPECT_EQ(cache.bytes(), before + 3 * block);  // the window and a step: six blocks
  for (std::uint32_t p = 0; p < 300; ++p) filled.expect(cache, 0, p);
  EXPECT_EQ(cache.truncate(2000), 300u);  // the window reaches so far back, and no other layer
  EXPECT_EQ(cache.length(1), 2000u);
  EXPECT_EQ(cache.truncate(300), 0u);
  EXPECT_EQ(cache.bytes(), 0u);
}

TEST(KvCache, RoomIsNoLength) {
  Filled filled(0, KvType::kF32);
  filled.grow(100);
  KvCache& cache = *filled.cache;
  const KvCache fork = cache;
  cache.make_room(0, 400);
  EXPECT_EQ(cache.length(0), 100u);
  cache.make_room(0, 300);  // another batch, after the first has failed
  cache.count(0, 300);
  EXPECT_EQ(cache.length(0), 300u);
  EXPECT_EQ(fork.length(0), 100u);
  cache.forget(0);
  EXPECT_EQ(cache.length(0), 0u);
  EXPECT_EQ(cache.length(), 100u);
  filled.expect(fork, 0, 99);
  filled.expect(cache, 2, 99);
}

}  // namespace
}  // namespace pajamas::runtime
