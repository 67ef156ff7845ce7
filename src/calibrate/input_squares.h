// How large the inputs of every matrix of a model are, column by column.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "io/imatrix.h"
#include "model/config.h"
#include "model/role.h"
#include "runtime/layer_major.h"
#include "runtime/tap.h"

namespace pajamas::calibrate {

// Sums the squares of what enters the products, in double and in the order of the rows, so that the
// sums do not depend on threads or on how texts are cut into batches. Matrices that share an input
// share its sums.
class InputSquares final : public runtime::LayerVisitor, public runtime::LinearTap {
 public:
  // Of the matrices of all layers; `with_output`: of the output matrix too.
  InputSquares(const model::ModelConfig& config, bool with_output);

  runtime::LinearTap* begin(std::size_t, std::uint64_t) override { return this; }
  void after_batch(std::size_t, std::uint64_t, std::size_t, runtime::Batch) override {}
  void end(std::size_t, std::uint64_t) override {}

  void input(std::span<const model::TensorKey> matrices, runtime::Rows x,
             std::span<const std::uint32_t> batch_rows) override;

  // An entry for each matrix under its name in GGUF, also for those that saw nothing. Throws
  // Error{kCorruptFile} where a sum is not finite: the model's weights are damaged.
  std::vector<io::ImatrixEntry> entries() const;

  // Of a layer with experts: rows that each has seen. Empty for one without.
  std::vector<double> expert_counts(std::uint64_t layer) const;

  // Memory that the sums take.
  static std::uint64_t bytes(const model::ModelConfig& config);

 private:
  struct Sums {
    std::vector<double> counts;  // [matrices]
    std::vector<double> values;  // [matrices][columns]
  };
  struct Matrix {
    model::TensorKey key;
    std::string name;
    std::uint64_t columns;
    std::uint64_t matrices;  // 1, or one for each expert
    bool stack;
  };
  const Sums* sums_of(const Matrix& matrix) const;

  std::vector<Matrix> matrices_;
  std::map<model::TensorKey, std::size_t> index_;
  std::map<model::TensorKey, Sums> sums_;               // by the first matrix that takes an input
  std::map<model::TensorKey, model::TensorKey> first_;  // of those that share it
};

}  // namespace pajamas::calibrate
