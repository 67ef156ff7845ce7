#include "weights/mapped.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "model/model_folder.h"
#include "paths.h"

namespace pajamas::weights {
namespace {

using model::Role;

// One element of a leased view, where the view says that it lies; `used` grows to its end.
std::string element(const WeightView& view, std::size_t p, std::uint64_t row, std::uint64_t offset,
                    std::uint64_t size, std::uint64_t& used) {
  const WeightPlane& plane = view.planes[p];
  const std::uint64_t begin = row * plane.row_step + offset;
  used = std::max(used, begin + size);
  if (begin + size > plane.bytes.size()) return "outside of the view";
  return {reinterpret_cast<const char*>(plane.bytes.data()) + begin, size};
}

void expect_leases(const MappedWeights& weights, const test::Experts& experts, bool transposed) {
  for (const auto& [role, name] : test::kExpertRoles) {
    const test::Bytes& b = experts.of(role);
    for (std::uint64_t e = 0; e < b.experts; ++e) {
      const WeightLease lease = weights.acquire({role, 0, static_cast<int>(e)});
      const WeightView& view = lease.view();
      ASSERT_EQ(view.rows, b.rows);
      ASSERT_EQ(view.cols, b.row_bytes / 2);
      ASSERT_EQ(view.planes[0].col_step != 0, transposed);
      std::uint64_t used = 0;
      for (std::uint64_t r = 0; r < view.rows; ++r) {
        for (std::uint64_t c = 0; c < view.cols; ++c) {
          const std::uint64_t offset = c * (transposed ? view.planes[0].col_step : 2);
          ASSERT_EQ(element(view, 0, r, offset, 2, used), b.element(e, r, c)) << name << e;
        }
      }
      EXPECT_EQ(used, view.planes[0].bytes.size());
    }
  }
}

constexpr test::TinyShape kShape{3, 96, 160};

TEST(AcquireExpert, FromOneTensorForEachAndFromHalves) {
  const test::Experts experts(kShape);
  test::ModelFolder each(test::tiny_moe_config("qwen3_moe", kShape));
  store_each(experts, each);
  expect_leases(MappedWeights(each.open()), experts, false);
  test::ModelFolder halves(test::tiny_moe_config("qwen3_moe", kShape));
  store_halves(experts, halves);
  expect_leases(MappedWeights(halves.open()), experts, false);
}

// As MLX has it: one tensor, one part.
TEST(AcquireExpert, FromAWholeStack) {
  const test::Experts experts(kShape);
  test::ModelFolder folder(test::tiny_moe_config("qwen3_moe", kShape));
  folder.config["quantization"] = {{"group_size", 64}, {"bits", 4}};
  for (const auto& [role, name] : test::kExpertRoles) {
    const test::Bytes& b = experts.of(role);
    folder.add(std::string("model.layers.0.mlp.switch_mlp.") + name + ".weight", DType::kBF16,
               {b.experts, b.rows, b.row_bytes / 2}, b.data);
  }
  const MappedWeights weights(folder.open());
  EXPECT_EQ(weights.checkpoint().get({Role::kExpertUp, 0}).parts.size(), 1u);
  expect_leases(weights, experts, false);
  const WeightLease all = weights.acquire({Role::kExpertUp, 0});
  EXPECT_EQ(all.view().rows, 3 * 96u);
}

TEST(AcquireExpert, FromATransposedStack) {
  const test::Experts experts(kShape);
  test::ModelFolder folder(test::tiny_moe_config("gpt_oss", kShape));
  const test::ExpertBiases biases(kShape);
  store_transposed(experts, folder);
  store_biases(kShape, biases, folder);
  const MappedWeights weights(folder.open());
  expect_leases(weights, experts, true);
  for (const auto& [role, b] : {std::pair{Role::kExpertGateBias, &biases.gate},
                                {Role::kExpertUpBias, &biases.up},
                                {Role::kExpertDownBias, &biases.down}}) {
    for (std::uint64_t e = 0; e < 3; ++e) {
      const WeightLease lease = weights.acquire({role, 0, static_cast<int>(e)});
      const std::uint64_t step = std::max<std::uint64_t>(2, lease.view().planes[0].col_step);
      ASSERT_EQ(lease.view().rows, 1u);
      std::uint64_t used = 0;
      for (std::uint64_t c = 0; c < lease.view().cols; ++c) {
        ASSERT_EQ(element(lease.view(), 0, 0, c * step, 2, used), b->element(0, e, c));
      }
      EXPECT_EQ(used, lease.view().planes[0].bytes.size());
    }
  }
}

TEST(AcquireExpert, FromInterleavedMxfp4) {
  const test::Mxfp4Experts experts(kShape);
  test::ModelFolder folder(test::tiny_moe_config("gpt_oss", kShape));
  store_mxfp4(kShape, experts, folder);
  store_biases(kShape, test::ExpertBiases(kShape), folder);
  const MappedWeights weights(folder.open());
  for (const auto& [role, name] : test::kExpertRoles) {
    const test::Mxfp4Bytes& b = experts.of(role);
    for (std::uint64_t e = 0; e < 3; ++e) {
      const WeightLease lease = weights.acquire({role, 0, static_cast<int>(e)});
      std::uint64_t used[2] = {};
      for (std::uint64_t r = 0; r < b.codes.rows; ++r) {
        ASSERT_EQ(element(lease.view(), 0, r, 0, b.codes.row_bytes, used[0]), b.codes.row(e, r));
        ASSERT_EQ(element(lease.view(), 1, r, 0, b.scales.row_bytes, used[1]), b.scales.row(e, r));
      }
      EXPECT_EQ(used[0], lease.view().planes[0].bytes.size());
      EXPECT_EQ(used[1], lease.view().planes[1].bytes.size());
    }
  }
}

// Of several keys at once, in order; nothing is left behind where one of them is not there.
TEST(MappedWeights, LeasesSeveralKeysAllOrNone) {
  const MappedWeights weights(model::Checkpoint::open(source_dir() + "/models/tiny-qwen2"));
  const std::vector<model::TensorKey> keys{{Role::kAttnV, 1}, {Role::kAttnQ, 0}};
  std::vector<WeightLease> leases;
  weights.acquire(keys, leases);
  ASSERT_EQ(leases.size(), 2u);
  const WeightLease again = weights.acquire({Role::kAttnV, 1});
  EXPECT_EQ(leases[0].view().planes[0].bytes.data(), again.view().planes[0].bytes.data());
  EXPECT_EQ(leases[1].view().rows, weights.config().q_rows());
  const std::vector<model::TensorKey> wrong{{Role::kAttnK, 0}, {Role::kRouter, 0}};
  test::expect_error(ErrorCode::kNotFound, "router", [&] { weights.acquire(wrong, leases); });
  EXPECT_EQ(leases.size(), 2u);
}

TEST(MappedWeights, TellsWhatIsInMemoryAndTakesHintsOfAnything) {
  const MappedWeights weights(model::Checkpoint::open(source_dir() + "/models/tiny-gpt-oss"));
  const model::TensorKey expert{Role::kExpertDown, 0, 1};
  const model::TensorKey missing{Role::kFfnDown, 0};
  const std::vector<model::TensorKey> keys{expert, missing};
  weights.prefetch(keys);
  const WeightLease lease = weights.acquire(expert);
  std::byte sum{};
  for (const std::byte b : lease.view().planes[0].bytes) sum ^= b;  // now it is there, surely
  EXPECT_EQ(weights.residency(expert), Residency::kCached) << static_cast<int>(sum);
  EXPECT_EQ(weights.residency(missing), Residency::kStored);
}

// The headers that were read and the weights that are used are those of one file.
TEST(MappedWeights, AreThoseOfTheFileThatWasOpened) {
  const test::TempFolder folder;
  const std::filesystem::path path = folder.path() / "model";
  std::filesystem::copy(source_dir() + "/models/tiny-qwen2", path);
  const MappedWeights before(model::Checkpoint::open(path));
  const WeightLease expected = before.acquire({Role::kAttnQ, 0});
  const auto bytes = expected.view().planes[0].bytes;
  const std::vector<std::byte> original(bytes.begin(), bytes.end());

  model::Checkpoint checkpoint = model::Checkpoint::open(path);
  const std::filesystem::path file = checkpoint.files()[0].path();
  const auto size = std::filesystem::file_size(file);
  std::filesystem::rename(file, path / "aside");
  folder.write("model/" + file.filename().native(), std::string(size, '\xAB'));
  const MappedWeights after(std::move(checkpoint));
  const WeightLease lease = after.acquire({Role::kAttnQ, 0});
  EXPECT_TRUE(std::ranges::equal(lease.view().planes[0].bytes, original));
}

}  // namespace
}  // namespace pajamas::weights
