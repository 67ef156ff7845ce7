#include "quantize/importance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "paths.h"
#include "weights/row_reader.h"

namespace pajamas::quantize {
namespace {

using model::Role;
using model::TensorKey;

class Importance : public testing::Test {
 protected:
  std::vector<float> values(const model::StoredTensor& tensor) const {
    std::vector<float> out(tensor.shape.elements());
    weights::RowReader(checkpoint_, kernels_).read(tensor, 0, tensor.shape.rows(), out);
    return out;
  }

  // Sum of squared errors, every weight alike.
  double plain_error(const Encoding& encoding, const model::StoredTensor& tensor,
                     std::span<const float> importance) const {
    const std::vector<float> weights = values(tensor);
    const std::uint64_t cols = tensor.shape.cols(), rows = tensor.shape.rows();
    std::array<std::vector<std::byte>, Encoding::kMaxPlanes> stored;
    Planes planes;
    ConstPlanes written;
    for (std::size_t p = 0; p < encoding.planes(); ++p) {
      stored[p].resize(rows * encoding.plane_row_bytes(p, cols));
      planes.plane[p] = stored[p];
      written.plane[p] = stored[p];
    }
    codec::encode_rows(encoding, weights, importance, cols, planes);
    std::vector<float> out(weights.size());
    codec::decode_rows(encoding, written, cols, out);
    double sum = 0;
    for (std::size_t i = 0; i < out.size(); ++i) sum += std::pow(double{out[i]} - weights[i], 2);
    return sum;
  }

  model::Checkpoint checkpoint_ =
      model::Checkpoint::open(std::filesystem::path(source_dir()) / "models/tiny-qwen2");
  const kernels::KernelTable& kernels_ = kernels::best_kernels();
};

TEST_F(Importance, IsAPowerOfTheGainOfTheNormBefore) {
  ColumnImportance importance(checkpoint_, kernels_);
  const std::pair<TensorKey, TensorKey> pairs[] = {
      {{Role::kAttnV, 1}, {Role::kAttnNorm, 1}},
      {{Role::kFfnUp, 2}, {Role::kFfnNorm, 2}},
      {{Role::kOutput}, {Role::kOutputNorm}},
  };
  for (const auto& [matrix, norm] : pairs) {
    const auto columns = importance.of(checkpoint_.get(matrix), Encoding{DType::kQ8_0});
    const std::vector<float> gains = values(checkpoint_.get(norm));
    ASSERT_EQ(columns.size(), gains.size());
    const double power = std::log(columns[0] / columns[5]) / std::log(gains[0] / gains[5]);
    EXPECT_GE(power, 0.249);
    EXPECT_LE(power, 1.501);
    for (std::size_t i = 1; i < gains.size(); ++i) {
      EXPECT_NEAR(std::log(columns[i] / columns[0]), power * std::log(gains[i] / gains[0]), 1e-3);
    }
  }
}

TEST_F(Importance, IsUniformWhereNoNormComesBefore) {
  ColumnImportance importance(checkpoint_, kernels_);
  for (const TensorKey key : {TensorKey{Role::kTokenEmbedding}, TensorKey{Role::kAttnOutput, 0},
                              TensorKey{Role::kFfnDown, 0}, TensorKey{Role::kAttnNorm, 0}}) {
    EXPECT_TRUE(importance.of(checkpoint_.get(key), Encoding{DType::kQ8_0}).empty());
  }
  EXPECT_TRUE(importance.of(checkpoint_.get({Role::kAttnQ, 0}), Encoding{DType::kBF16}).empty());
}

// The sample decides, so the whole tensor may lie a little beyond the budget.
TEST_F(Importance, KeepsThePlainErrorWithinItsBudget) {
  ColumnImportance importance(checkpoint_, kernels_);
  for (const Encoding& encoding :
       {Encoding{DType::kQ4_K}, Encoding{DType::kQ2_K}, Encoding::affine(4, 64, DType::kBF16)}) {
    for (const TensorKey key :
         {TensorKey{Role::kAttnK, 0}, TensorKey{Role::kFfnGate, 3}, TensorKey{Role::kOutput}}) {
      const model::StoredTensor& tensor = checkpoint_.get(key);
      const double uniform = plain_error(encoding, tensor, {});
      const double guided = plain_error(encoding, tensor, importance.of(tensor, encoding));
      EXPECT_LE(std::sqrt(guided / uniform), 1.002 + plain_error_budget(encoding))
          << encoding.name() << " " << tensor.name;
    }
  }
}

}  // namespace
}  // namespace pajamas::quantize
