#include "bench/bytes_read.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "model/checkpoint.h"
#include "paths.h"
#include "runtime/native/cpu/device.h"
#include "runtime/native/engine.h"
#include "runtime/synthetic_model.h"
#include "weights/mapped.h"

namespace pajamas::bench {
namespace {

using model::TensorKey;

// Counts the bytes of everything that an engine leases.
class CountingWeights final : public weights::WeightStore {
 public:
  explicit CountingWeights(model::Checkpoint checkpoint) : base_(std::move(checkpoint)) {}
  const model::ModelConfig& config() const noexcept override { return base_.config(); }
  bool contains(TensorKey key) const noexcept override { return base_.contains(key); }
  using WeightStore::acquire;
  void acquire(std::span<const TensorKey> keys,
               std::vector<weights::WeightLease>& leases) const override {
    const std::size_t before = leases.size();
    base_.acquire(keys, leases);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const weights::WeightView& view = leases[before + i].view();
      leased[keys[i]] = view.rows * view.encoding.row_bytes(view.cols);
    }
  }
  void prefetch(std::span<const TensorKey> keys) const noexcept override { base_.prefetch(keys); }
  weights::Residency residency(TensorKey key) const noexcept override {
    return base_.residency(key);
  }
  mutable std::map<TensorKey, std::uint64_t> leased;

 private:
  weights::MappedWeights base_;
};

// What an engine of that model leases for a single token, each once. What it decoded when it was
// opened (norms, biases, sinks) it does not lease again.
class OfATinyModel : public testing::TestWithParam<const char*> {};

TEST_P(OfATinyModel, IsWhatTheEngineLeasesForAToken) {
  const std::string path = source_dir() + "/models/" + GetParam();
  auto store = std::make_shared<CountingWeights>(model::Checkpoint::open(path));
  const TaskPool pool(1);
  runtime::NativeEngine engine(
      std::make_unique<runtime::CpuDevice>(store, pool, kernels::best_kernels()));
  std::map<TensorKey, std::uint64_t> seen = std::exchange(store->leased, {});
  const runtime::BatchRow row{engine.create_session(), 0, 5, true};
  std::vector<float> logits(engine.config().vocab);
  runtime::forward(engine, {&row, 1}, logits, StopFlag{});
  for (const auto& [key, bytes] : store->leased) seen[key] = bytes;
  std::uint64_t leased = 0;
  for (const auto& [key, bytes] : seen) {
    // Of an embedding that is not the output, one row.
    const bool one_row = key.role == model::Role::kTokenEmbedding && !engine.config().tied_output;
    leased += one_row ? bytes / engine.config().vocab : bytes;
  }
  EXPECT_EQ(bytes_per_token(model::Checkpoint::open(path)), leased);
}

INSTANTIATE_TEST_SUITE_P(Models, OfATinyModel,
                         testing::Values("tiny-qwen2", "tiny-qwen3-moe", "tiny-gpt-oss"));

TEST(BytesOfTheCache, StopAtSlidingWindows) {
  const model::ModelConfig config = runtime::synthetic_config();  // a window of 40 in one of two
  runtime::EngineOptions options;
  options.kv_type = runtime::KvType::kF16;
  // Two key heads of 16 float16 numbers, keys and values.
  constexpr std::uint64_t kPosition = 2 * 16 * 2 * 2;
  EXPECT_EQ(cache_bytes_per_token(config, options, 0), 0u);
  EXPECT_EQ(cache_bytes_per_token(config, options, 39), 2 * 39 * kPosition);
  EXPECT_EQ(cache_bytes_per_token(config, options, 1000), (39 + 1000) * kPosition);
}

}  // namespace
}  // namespace pajamas::bench
