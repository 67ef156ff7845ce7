// Which weights a model that runs layer by layer asks for and leaves, and when.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "io/temp.h"
#include "runtime/layer_major.h"
#include "runtime/model_engine.h"

namespace pajamas::runtime {
namespace {

using model::TensorKey;
using weights::Residency;

// Nothing is in memory but the router; tells what it was asked.
class RecordingStore final : public weights::WeightStore {
 public:
  explicit RecordingStore(std::shared_ptr<const WeightStore> base) : base_(std::move(base)) {}

  const model::ModelConfig& config() const noexcept override { return base_->config(); }
  bool contains(TensorKey key) const noexcept override { return base_->contains(key); }
  void acquire(std::span<const TensorKey> keys,
               std::vector<weights::WeightLease>& leases) const override {
    note(keys, "use");
    base_->acquire(keys, leases);
  }
  void prefetch(std::span<const TensorKey> keys) const noexcept override { note(keys, "ask"); }
  void drop(std::span<const TensorKey> keys, Residency before) const noexcept override {
    note(keys, before == Residency::kStored ? "evict" : "leave");
  }
  Residency residency(TensorKey key) const noexcept override {
    return key.role == model::Role::kRouter ? Residency::kCached : Residency::kStored;
  }

  struct Event {
    TensorKey key;
    std::string what;
  };
  mutable std::vector<Event> events;

 private:
  void note(std::span<const TensorKey> keys, const char* what) const {
    for (const TensorKey key : keys) events.push_back({key, what});
  }
  std::shared_ptr<const WeightStore> base_;
};

class Nobody final : public LayerVisitor {
 public:
  LinearTap* begin(std::size_t, std::uint64_t) override { return nullptr; }
  void after_batch(std::size_t, std::uint64_t, std::size_t, Batch) override {}
  void end(std::size_t, std::uint64_t) override {}
};

class LayerByLayer : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, LayerByLayer,
                         testing::Values("tiny-qwen2", "tiny-qwen3-moe", "tiny-gpt-oss"),
                         [](const auto& model) {
                           std::string name = model.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST_P(LayerByLayer, WeightsAreAskedForALayerAheadAndLeftBehind) {
  const ModelEngine model(GetParam());
  const auto store = std::make_shared<const RecordingStore>(model.store);
  NativeEngine engine(std::make_unique<CpuDevice>(store, model.pool, kernels::best_kernels()));
  store->events.clear();  // of opening
  const test::TempFolder folder;
  ActivationStore between(1 << 30, folder.path());
  const Stream stream{engine, between};
  Nobody nobody;
  NoProgress progress;
  const std::vector<std::vector<BatchRow>> batches{
      rows_of_text(0, 1, engine.config().vocab, 0, 100),
      rows_of_text(0, 1, engine.config().vocab, 100, 100)};
  run_layer_major({&stream, 1}, batches, nobody, progress, StopFlag{});

  std::set<int> asked, left;
  bool embedding_left = false;
  std::set<TensorKey> evicted;
  for (const auto& [key, what] : store->events) {
    if (key.layer < 0) {
      EXPECT_FALSE(what == "use" && embedding_left);
      if (what == "leave") embedding_left = key.role == model::Role::kTokenEmbedding;
      continue;
    }
    if (what == "ask") {
      EXPECT_FALSE(left.contains(key.layer));
      if (asked.insert(key.layer).second && key.layer >= 2) {
        EXPECT_TRUE(left.contains(key.layer - 2)) << "three layers at a time";
      }
    } else if (what == "use") {
      EXPECT_TRUE(asked.contains(key.layer)) << key.layer;
      EXPECT_FALSE(left.contains(key.layer)) << key.layer;
    } else {
      left.insert(key.layer);
      if (what == "evict") evicted.insert(key);
    }
  }
  EXPECT_TRUE(embedding_left);
  EXPECT_EQ(left.size(), engine.config().layers);
  // Every expert of its own, wherever they lie; what was in memory before stays there.
  for (const model::TensorSpec& spec : model::tensors_of(engine.config())) {
    if (spec.key.layer < 0 || !spec.is_matrix) continue;
    TensorKey key = spec.key;
    if (spec.is_stack()) key.expert = static_cast<int>(engine.config().experts) - 1;
    EXPECT_EQ(evicted.contains(key), key.role != model::Role::kRouter) << spec.gguf;
  }
}

}  // namespace
}  // namespace pajamas::runtime
