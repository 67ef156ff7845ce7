#include "weights/generated.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/error.h"

namespace pajamas::weights {
namespace {

using model::Role;
using model::TensorKey;

GeneratedWeights make(const std::vector<GeneratedTensor>& tensors, bool in_file = false) {
  model::ModelConfig config;
  config.layers = 2;
  config.experts = 4;
  const std::uint64_t bytes = GeneratedWeights::bytes_of(tensors);
  const TaskPool pool(2);
  NoProgress progress;
  return GeneratedWeights(
      config, tensors,
      in_file ? ScratchMemory::in_file(testing::TempDir(), bytes) : ScratchMemory::in_memory(bytes),
      kernels::best_kernels(), pool, progress, StopFlag{});
}

std::vector<float> values_of(const GeneratedWeights& weights, TensorKey key) {
  const WeightLease lease = weights.acquire(key);
  const WeightView& view = lease.view();
  ConstPlanes planes;
  for (std::size_t p = 0; p < view.encoding.planes(); ++p) planes.plane[p] = view.planes[p].bytes;
  std::vector<float> values(view.rows * view.cols);
  kernels::best_kernels().decode_rows(view.encoding, planes, view.cols, values);
  return values;
}

TEST(GeneratedWeights, HaveTheSpreadOfTrainedOnes) {
  for (const bool in_file : {false, true}) {
    for (const Encoding encoding : {Encoding{DType::kQ4_K}, Encoding::affine(4, 64, DType::kBF16),
                                    Encoding{DType::kF32}, Encoding{DType::kIQ2_XXS}}) {
      const auto weights = make({{{Role::kFfnUp, 0}, {300, 1024}, encoding},
                                 {{Role::kFfnNorm, 0}, {1024}, {DType::kF32}}},
                                in_file);
      double squares = 0;
      const std::vector<float> values = values_of(weights, {Role::kFfnUp, 0});
      for (const float value : values) {
        ASSERT_TRUE(std::isfinite(value));
        squares += value * value;
      }
      // A product of such a matrix is as large as what it multiplies.
      EXPECT_NEAR(squares / 300, 1, 0.3) << encoding.name();
      double sum = 0;
      for (const float value : values_of(weights, {Role::kFfnNorm, 0})) sum += value;
      EXPECT_NEAR(sum / 1024, 1, 0.02);
    }
  }
}

TEST(GeneratedWeights, ShareNoMemory) {
  const auto weights = make({{{Role::kAttnQ, 0}, {512, 256}, {DType::kQ8_0}},
                             {{Role::kAttnQ, 1}, {512, 256}, {DType::kQ8_0}}});
  const auto first = weights.acquire({Role::kAttnQ, 0});
  const auto second = weights.acquire({Role::kAttnQ, 1});
  const auto a = first.view().planes[0].bytes, b = second.view().planes[0].bytes;
  EXPECT_EQ(a.size(), 512 * first.view().encoding.row_bytes(256));
  EXPECT_TRUE(a.data() + a.size() <= b.data() || b.data() + b.size() <= a.data());
  EXPECT_FALSE(std::ranges::equal(a, b));
}

TEST(GeneratedWeights, GiveARouterADifferentRowForEachExpert) {
  const auto weights = make({{{Role::kRouter, 0}, {128, 2048}, {DType::kF32}}});
  const std::vector<float> values = values_of(weights, {Role::kRouter, 0});
  std::set<float> firsts;
  for (std::size_t row = 0; row < 128; ++row) firsts.insert(values[row * 2048]);
  EXPECT_EQ(firsts.size(), 128u);
}

TEST(GeneratedWeights, LeaseExpertsOfAStack) {
  const auto weights = make({{{Role::kExpertUp, 1}, {4, 96, 256}, {DType::kQ6_K}}});
  const auto all = weights.acquire({Role::kExpertUp, 1});
  const auto third = weights.acquire({Role::kExpertUp, 1, 2});
  EXPECT_EQ(third.view().rows, 96u);
  EXPECT_EQ(third.view().planes[0].bytes.data(),
            all.view().planes[0].bytes.data() + 2 * 96 * all.view().planes[0].row_step);
  EXPECT_TRUE(weights.contains({Role::kExpertUp, 1, 3}));
  EXPECT_FALSE(weights.contains({Role::kExpertUp, 0}));
  EXPECT_THROW(weights.acquire({Role::kExpertUp, 0}), Error);
}

TEST(GeneratedWeights, RefuseRowsThatShareScales) {
  try {
    make({{{Role::kFfnUp, 0}, {256, 256}, Encoding::fp8(DType::kF32)}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  }
}

TEST(ScratchMemory, NamesTheFolderThatIsNone) {
  try {
    ScratchMemory::in_file("/nowhere/at/all", 4096);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_NE(std::string(error.what()).find("/nowhere/at/all"), std::string::npos);
  }
}

}  // namespace
}  // namespace pajamas::weights
