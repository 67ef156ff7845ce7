// Attention over every type of cache, against sums in float64 over the floats that were stored.
#include "runtime/native/cpu/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "runtime/native/cpu/kv_rows.h"
#include "runtime/numbers.h"

namespace pajamas::runtime {
namespace {

constexpr std::size_t kKvHeads = 2, kGroup = 3;

struct AttentionCase {
  std::size_t head_dim;
  std::uint64_t window;
  bool sinks;
};

// A session with random keys and values, and a query for each of its positions.
class Session {
 public:
  Session(const AttentionCase& c, KvType type, std::uint32_t length, std::uint64_t seed)
      : case_(c) {
    config_.layers = 1;
    config_.heads = kKvHeads * kGroup;
    config_.kv_heads = kKvHeads;
    config_.head_dim = c.head_dim;
    config_.sliding_layers = {c.window != 0};
    config_.sliding_window = c.window;
    Numbers numbers(seed);
    const std::size_t width = kKvHeads * c.head_dim;
    keys_ = numbers.normals(length * width);
    values_ = numbers.normals(length * width);
    queries_ = numbers.normals(length * stride());
    if (c.sinks) sinks_ = numbers.normals(kKvHeads * kGroup, 3);
    cache_ = std::make_unique<KvCache>(memory_, config_, type);
    for (std::uint32_t p = 0; p < length; ++p) {
      cache_->make_room(0, p + 1);
      store_position(kernels::best_kernels(), *cache_, 0, p,
                     std::span(keys_).subspan(p * width, width),
                     std::span(values_).subspan(p * width, width));
      cache_->count(0, p + 1);
    }
  }

  std::size_t stride() const { return kKvHeads * kGroup * case_.head_dim; }

  // [rows][heads][head_dim] for rows from `first` on, `rows` of them in one tile.
  std::vector<float> attend_tile(const kernels::KernelTable& kernels, std::uint32_t first,
                                 std::size_t rows) const {
    std::vector<float> out(rows * stride());
    for (std::size_t head = 0; head < kKvHeads; ++head) {
      const auto sinks = sinks_.empty() ? std::span<const float>()
                                        : std::span(sinks_).subspan(head * kGroup, kGroup);
      const std::size_t at = head * kGroup * case_.head_dim;
      attend(kernels, {*cache_, 0, head, first, rows, kGroup, case_.window, sinks},
             queries_.data() + first * stride() + at, out.data() + at, stride());
    }
    return out;
  }

  // The same with the runs of both heads spread over the threads of a pool.
  std::vector<float> attend_spread(const kernels::KernelTable& kernels, const TaskPool& pool,
                                   std::uint32_t first, std::size_t rows) const {
    std::vector<float> out(rows * stride());
    std::vector<AttentionTask> tasks;
    for (std::size_t head = 0; head < kKvHeads; ++head) {
      const auto sinks = sinks_.empty() ? std::span<const float>()
                                        : std::span(sinks_).subspan(head * kGroup, kGroup);
      const std::size_t at = head * kGroup * case_.head_dim;
      tasks.push_back({{*cache_, 0, head, first, rows, kGroup, case_.window, sinks},
                       queries_.data() + first * stride() + at,
                       out.data() + at});
    }
    AttentionScratch scratch;
    attend(Processor{kernels, pool}, tasks, stride(), scratch);
    return out;
  }

  // One row, by the definition.
  std::vector<double> exact(std::uint32_t position) const {
    const std::size_t dim = case_.head_dim;
    std::vector<double> out(stride());
    for (std::size_t head = 0; head < kKvHeads * kGroup; ++head) {
      const float* query = queries_.data() + position * stride() + head * dim;
      std::vector<double> scores;
      double sum = 0;
      if (!sinks_.empty()) sum = std::exp(static_cast<double>(sinks_[head]));
      for (std::uint32_t p = 0; p <= position; ++p) {
        double score = -std::numeric_limits<double>::infinity();
        if (case_.window == 0 || p + case_.window > position) {
          score = 0;
          for (std::size_t d = 0; d < dim; ++d) score += product(query[d], key(p, head, d));
          score /= std::sqrt(static_cast<double>(dim));
        }
        scores.push_back(std::exp(score));
        sum += scores.back();
      }
      for (std::uint32_t p = 0; p <= position; ++p) {
        for (std::size_t d = 0; d < dim; ++d) {
          out[head * dim + d] += scores[p] / sum * static_cast<double>(value(p, head, d));
        }
      }
    }
    return out;
  }

 private:
  static double product(float a, float b) {
    return static_cast<double>(a) * static_cast<double>(b);
  }
  float key(std::uint32_t p, std::size_t head, std::size_t d) const {
    return keys_[(p * kKvHeads + head / kGroup) * case_.head_dim + d];
  }
  float value(std::uint32_t p, std::size_t head, std::size_t d) const {
    return values_[(p * kKvHeads + head / kGroup) * case_.head_dim + d];
  }

  AttentionCase case_;
  model::ModelConfig config_;
  std::vector<float> keys_, values_, queries_, sinks_;
  HostAllocator memory_;
  std::unique_ptr<KvCache> cache_;
};

constexpr AttentionCase kCases[] = {{64, 0, false}, {64, 0, true},    {64, 128, true},
                                    {64, 1, true},  {128, 50, false}, {80, 130, false},
                                    {6, 300, true}, {1030, 20, false}};

// Errors of outputs, whose own size is about 1 for one position and less for many: the largest, and
// the root of their mean square.
constexpr struct {
  KvType type;
  double largest;
  double rms;
} kLimits[] = {{KvType::kF32, 4e-6, 1e-6},      {KvType::kF16, 2e-3, 3e-4},
               {KvType::kBF16, 1.5e-2, 2.5e-3}, {KvType::kQ8_0, 3e-2, 7e-3},
               {KvType::kQ4_0, 0.5, 0.11},      {KvType::kQ3_0, 1.0, 0.22}};

class EachTable : public testing::TestWithParam<const kernels::KernelTable*> {
 protected:
  void SetUp() override {
    if (!GetParam()->supported(cpu_features())) GTEST_SKIP() << "not on this processor";
  }
};
INSTANTIATE_TEST_SUITE_P(Attention, EachTable,
                         testing::ValuesIn(kernels::all_kernels().begin(),
                                           kernels::all_kernels().end()),
                         [](const auto& table) { return std::string(table.param->name); });

TEST_P(EachTable, MixesValuesAsDefined) {
  constexpr std::uint32_t kPositions[] = {0, 1, 127, 128, 129, 300};
  for (const AttentionCase& c : kCases) {
    std::vector<std::vector<double>> exact;
    const Session plain(c, KvType::kF32, 301, 1);
    for (const std::uint32_t position : kPositions) exact.push_back(plain.exact(position));
    for (const auto& [type, largest, rms] : kLimits) {
      const Session session(c, type, 301, 1);
      for (std::size_t k = 0; k < exact.size(); ++k) {
        const auto out = session.attend_tile(*GetParam(), kPositions[k], 1);
        double squares = 0;
        for (std::size_t i = 0; i < out.size(); ++i) {
          const double error = static_cast<double>(out[i]) - exact[k][i];
          ASSERT_LT(std::abs(error), largest)
              << info(type).name << " of " << c.head_dim << ", window " << c.window << ", position "
              << kPositions[k];
          squares += error * error;
        }
        EXPECT_LT(std::sqrt(squares / static_cast<double>(out.size())), rms)
            << info(type).name << " of " << c.head_dim;
      }
    }
  }
}

// Rows alone or in tiles of any size, begun anywhere: the same floats.
TEST_P(EachTable, TilesChangeNothing) {
  for (const AttentionCase& c : kCases) {
    for (const KvTypeInfo& type : kKvTypes) {
      const Session session(c, type.id, 140, 2);
      const auto together = session.attend_tile(*GetParam(), 120, 16);
      for (std::uint32_t r = 0; r < 16; r += 5) {
        const auto alone = session.attend_tile(*GetParam(), 120 + r, 1);
        ASSERT_TRUE(std::ranges::equal(
            alone, std::span(together).subspan(r * session.stride(), session.stride())))
            << type.name << " row " << r;
      }
      const auto part = session.attend_tile(*GetParam(), 125, 7);
      ASSERT_TRUE(std::ranges::equal(
          part, std::span(together).subspan(5 * session.stride(), 7 * session.stride())));
    }
  }
}

// Over several runs, the first and the last of them cut by windows and by the row itself: near the
// definition, and the same floats in whatever tile, on however many threads.
TEST_P(EachTable, RunsAreMergedTheSameHoweverTheyAreSpread) {
  const TaskPool one(1), many(5);
  constexpr std::uint32_t kLength = 3 * kRunPositions + 200, kFirst = 3 * kRunPositions - 9;
  for (const AttentionCase& c :
       {AttentionCase{64, 0, true}, AttentionCase{64, 0, false}, AttentionCase{64, 1500, true},
        AttentionCase{64, 1020, true}, AttentionCase{64, 5, true}}) {
    for (const auto& [type, largest, rms] : kLimits) {
      if (type != KvType::kF32 && type != KvType::kF16 && type != KvType::kQ4_0) continue;
      const Session session(c, type, kLength, 3);
      const auto together = session.attend_tile(*GetParam(), kFirst, 16);
      EXPECT_EQ(session.attend_spread(*GetParam(), one, kFirst, 16), together);
      EXPECT_EQ(session.attend_spread(*GetParam(), many, kFirst, 16), together) << c.window;
      for (const std::uint32_t r : {0u, 8u, 9u, 15u}) {
        const auto alone = session.attend_spread(*GetParam(), many, kFirst + r, 1);
        ASSERT_TRUE(std::ranges::equal(
            alone, std::span(together).subspan(r * session.stride(), session.stride())))
            << "row " << r << ", window " << c.window;
        const auto exact = session.exact(kFirst + r);
        for (std::size_t i = 0; i < alone.size(); ++i) {
          ASSERT_NEAR(alone[i], exact[i], largest) << info(type).name << ", window " << c.window;
        }
      }
    }
  }
}

TEST(Attention, SinksOfAnySizeAreSafe) {
  for (const float sink : {-1e30f, 0.0f, 1e4f}) {
    model::ModelConfig config;
    config.layers = 1;
    config.kv_heads = 1;
    config.head_dim = 4;
    HostAllocator memory;
    KvCache cache(memory, config, KvType::kF32);
    cache.make_room(0, 1);
    store_position(kernels::best_kernels(), cache, 0, 0, std::vector<float>{1, 0, 0, 0},
                   std::vector<float>{2, 2, 2, 2});
    const std::vector<float> query = {2, 0, 0, 0};  // scores 1
    std::vector<float> out(4);
    const std::vector<float> sinks = {sink};
    attend(kernels::best_kernels(), {cache, 0, 0, 0, 1, 1, 0, sinks}, query.data(), out.data(), 4);
    const double share = sink > 1e3f ? 0 : 1 / (1 + std::exp(static_cast<double>(sink) - 1));
    for (const float v : out) EXPECT_NEAR(v, 2 * share, 1e-6) << sink;
  }
}

TEST(Attention, AWindowEndsAtItsRow) {
  EXPECT_EQ(first_seen(127, 128), 0u);
  EXPECT_EQ(first_seen(128, 128), 1u);
  EXPECT_EQ(first_seen(500, 0), 0u);
}

}  // namespace
}  // namespace pajamas::runtime
