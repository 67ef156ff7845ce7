// The forward pass on a device whose memory the host cannot touch, against the CPU device.
#include "runtime/native/device.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "runtime/engine_answers.h"
#include "runtime/guarded_device.h"
#include "runtime/model_engine.h"

namespace pajamas::runtime {
namespace {

struct Case {
  const char* model;
  Activations activations;
  KvType kv_type;
};

class OnGuardedMemory : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Device, OnGuardedMemory,
                         testing::Values(Case{"tiny-qwen2", Activations::kFloat, KvType::kF32},
                                         Case{"tiny-qwen2", Activations::kInt8, KvType::kF16},
                                         Case{"tiny-qwen3-moe", Activations::kFloat, KvType::kQ8_0},
                                         Case{"tiny-gpt-oss", Activations::kFloat, KvType::kQ4_0}),
                         [](const auto& test) {
                           std::string name = test.param.model;
                           std::ranges::replace(name, '-', '_');
                           return name +
                                  (test.param.activations == Activations::kInt8 ? "_int8" : "");
                         });

TEST_P(OnGuardedMemory, TheForwardPassComputesTheSame) {
  const Case& c = GetParam();
  ModelEngine plain(c.model, c.activations, c.kv_type);
  NativeEngine guarded(std::make_unique<GuardedDevice>(plain.store, plain.pool,
                                                       kernels::best_kernels(), c.activations),
                       c.kv_type);
  const std::vector<float> expected = answers_of(plain.engine);
  const std::vector<float> answers = answers_of(guarded);
  ASSERT_EQ(answers.size(), expected.size());
  // As bytes: memory that nobody wrote reads as NaNs.
  EXPECT_TRUE(
      std::ranges::equal(std::as_bytes(std::span(answers)), std::as_bytes(std::span(expected))));
}

// Operations are coarse: as many for a prompt as for a token.
TEST_P(OnGuardedMemory, ALayerIsAboutADozenOperations) {
  const Case& c = GetParam();
  ModelEngine plain(c.model);
  auto owned = std::make_unique<GuardedDevice>(plain.store, plain.pool, kernels::best_kernels(),
                                               c.activations);
  GuardedDevice& device = *owned;
  NativeEngine engine(std::move(owned), c.kv_type);
  std::vector<std::vector<std::string_view>> layers;
  for (const std::uint32_t count : {1u, 40u}) {
    const auto rows = rows_of_text(engine.create_session(), 1, engine.config().vocab, 0, count);
    const HiddenPtr hidden = engine.embed(rows);
    device.done.clear();
    engine.layer(0, *hidden, rows);
    layers.push_back(device.done);
  }
  EXPECT_EQ(layers[0], layers[1]);
  EXPECT_EQ(layers[0].size(), engine.config().is_sparse(0) ? 17u : 13u);
}

TEST(GuardedMemory, EndsWhoeverLooksAtIt) {
  const ModelEngine model("tiny-qwen2");
  GuardedDevice device(model.store, model.pool, kernels::best_kernels());
  const Buffer buffer = device.allocate(64);
  const FloatView view{buffer.memory(), 0, 4, 4};
  device.write(std::vector<float>(16, 1.0f), view);
  std::vector<float> room;
  EXPECT_EQ(device.read(view, room)[15], 1.0f);
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(host_numbers(view)[0] += 1.0f, "");
}

}  // namespace
}  // namespace pajamas::runtime
