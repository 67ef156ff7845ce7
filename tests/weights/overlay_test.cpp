#include "weights/overlay.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "io/temp.h"
#include "paths.h"
#include "weights/mapped.h"

namespace pajamas::weights {
namespace {

using model::Role;
using model::TensorKey;

std::shared_ptr<const MappedWeights> open_model(const char* name) {
  return std::make_shared<MappedWeights>(model::Checkpoint::open(source_dir() + "/models/" + name));
}

// F32 numbers that count up from `first`.
HeldTensor counting(std::uint64_t rows, std::uint64_t cols, float first) {
  HeldTensor tensor{{.dtype = DType::kF32}, rows, cols, {}};
  tensor.planes[0].resize(rows * cols * sizeof(float));
  auto* values = reinterpret_cast<float*>(tensor.planes[0].data());
  for (std::uint64_t i = 0; i < rows * cols; ++i) values[i] = first + static_cast<float>(i);
  return tensor;
}

const std::byte* start_of(const WeightLease& lease) { return lease.view().planes[0].bytes.data(); }

float first_of(const WeightLease& lease) {
  return *reinterpret_cast<const float*>(start_of(lease));
}

TEST(OverlayWeights, ShowsWhatWasReplacedUntilItsLayerIsRestored) {
  const auto base = open_model("tiny-qwen2");
  OverlayWeights weights(base);
  const TensorKey q{Role::kAttnQ, 1}, k{Role::kAttnK, 1}, other{Role::kAttnQ, 0};
  const WeightLease held = base->acquire(q);
  const WeightView before = held.view();
  weights.replace(q, counting(before.rows, before.cols, 5));
  weights.replace(other, counting(before.rows, before.cols, 7));
  EXPECT_EQ(weights.bytes(), 2 * before.rows * before.cols * sizeof(float));
  EXPECT_EQ(weights.residency(q), Residency::kResident);

  const std::vector<TensorKey> keys{k, q, k, other, k};
  std::vector<WeightLease> leases;
  weights.acquire(keys, leases);
  ASSERT_EQ(leases.size(), keys.size());
  const auto* const mapped = start_of(base->acquire(k));
  for (const std::size_t i : {0u, 2u, 4u}) {
    EXPECT_EQ(leases[i].view().planes[0].bytes.data(), mapped) << i;
  }
  EXPECT_EQ(first_of(leases[1]), 5);
  EXPECT_EQ(first_of(leases[3]), 7);

  weights.restore(1);
  EXPECT_EQ(start_of(weights.acquire(q)), before.planes[0].bytes.data());
  EXPECT_EQ(first_of(weights.acquire(other)), 7);
  EXPECT_EQ(first_of(leases[1]), 5);  // what is leased stays
}

TEST(OverlayWeights, LeasesExpertsOfAReplacedStack) {
  const auto base = open_model("tiny-qwen3-moe");
  OverlayWeights weights(base);
  const TensorKey stack{Role::kExpertUp, 0};
  const WeightLease first = base->acquire({Role::kExpertUp, 0, 0});
  const std::uint64_t each = first.view().rows, cols = first.view().cols;
  weights.replace(stack, counting(each * base->config().experts, cols, 1));
  for (const int expert : {0, 1, static_cast<int>(base->config().experts) - 1}) {
    const WeightLease lease = weights.acquire({Role::kExpertUp, 0, expert});
    EXPECT_EQ(lease.view().rows, each);
    EXPECT_EQ(lease.view().planes[0].bytes.size(), each * cols * sizeof(float));
    EXPECT_EQ(first_of(lease),
              1 + static_cast<float>(static_cast<std::uint64_t>(expert) * each * cols));
  }
}

// Rows of FP8 share their scales: a view cut out has those of its own tiles.
TEST(OverlayWeights, CutsRowsThatShareScales) {
  const Encoding fp8 = Encoding::fp8(DType::kF32);
  HeldTensor tensor{fp8, 300, 16, {}};
  tensor.planes[0].resize(300 * 16);
  tensor.planes[1].resize(3 * sizeof(float));
  for (std::size_t i = 0; i < 3; ++i) {
    reinterpret_cast<float*>(tensor.planes[1].data())[i] = static_cast<float>(i);
  }
  const WeightView view = rows_of(tensor.view(), 128, 172);
  EXPECT_EQ(view.planes[0].bytes.data(), tensor.planes[0].data() + 128 * 16);
  EXPECT_EQ(view.planes[0].bytes.size(), 172u * 16);
  EXPECT_EQ(view.planes[1].bytes.data(), tensor.planes[1].data() + sizeof(float));
  EXPECT_EQ(view.planes[1].bytes.size(), 2 * sizeof(float));
  EXPECT_THROW(rows_of(tensor.view(), 64, 64), Error);
}

TEST(OverlayWeights, RefusesWhatDoesNotFit) {
  OverlayWeights weights(open_model("tiny-qwen2"));
  test::expect_error(ErrorCode::kNotFound, "router", [&] {
    weights.replace({Role::kRouter, 0}, counting(1, 1, 0));
  });
  EXPECT_THROW(weights.replace({Role::kAttnQ, 0}, counting(1, 1, 0)), Error);
  std::vector<WeightLease> leases;
  const std::vector<TensorKey> keys{{Role::kAttnQ, 0}, {Role::kRouter, 0}};
  EXPECT_THROW(weights.acquire(keys, leases), Error);
  EXPECT_TRUE(leases.empty());
}

}  // namespace
}  // namespace pajamas::weights
