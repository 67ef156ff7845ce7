#include "calibrate/input_squares.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "model/architecture.h"

namespace pajamas::calibrate {

using model::TensorKey;

InputSquares::InputSquares(const model::ModelConfig& config, bool with_output) {
  for (model::TensorSpec& spec : model::tensors_of(config)) {
    const bool output = with_output && spec.key.role == model::Role::kOutput;
    if (!spec.is_matrix || (spec.key.layer < 0 && !output)) continue;
    index_[spec.key] = matrices_.size();
    matrices_.push_back({spec.key, std::move(spec.gguf), spec.shape.cols(),
                         spec.is_stack() ? config.experts : 1, spec.is_stack()});
  }
}

void InputSquares::input(std::span<const TensorKey> matrices, runtime::Rows x,
                         std::span<const std::uint32_t>) {
  const auto whole = [](TensorKey key) { return TensorKey{key.role, key.layer}; };
  const TensorKey first = whole(matrices.front());
  const auto known = index_.find(first);
  if (known == index_.end()) return;  // the output matrix, of which nobody wants to know
  const Matrix& matrix = matrices_[known->second];
  const std::uint64_t columns = matrix.columns;
  PJ_CHECK(x.values.size() == x.count * columns);
  Sums& sums = sums_[first];
  if (sums.counts.empty()) {
    sums.counts.resize(matrix.matrices);
    sums.values.resize(matrix.matrices * columns);
    for (const TensorKey& key : matrices) first_[whole(key)] = first;
  }
  const auto at = static_cast<std::size_t>(std::max(0, matrices.front().expert));
  sums.counts[at] += static_cast<double>(x.count);
  double* const to = sums.values.data() + at * columns;
  for (std::size_t i = 0; i < x.count; ++i) {
    const float* const row = x.values.data() + i * columns;
    for (std::size_t j = 0; j < columns; ++j) {
      const double v = row[j];
      to[j] += v * v;
    }
  }
}

const InputSquares::Sums* InputSquares::sums_of(const Matrix& matrix) const {
  const auto first = first_.find(matrix.key);
  return first == first_.end() ? nullptr : &sums_.at(first->second);
}

std::vector<io::ImatrixEntry> InputSquares::entries() const {
  std::vector<io::ImatrixEntry> entries;
  for (const Matrix& matrix : matrices_) {
    io::ImatrixEntry& entry = entries.emplace_back();
    entry.name = matrix.name;
    entry.columns = matrix.columns;
    entry.counts.resize(matrix.matrices);
    entry.sums.resize(matrix.matrices * matrix.columns);
    const Sums* const sums = sums_of(matrix);
    if (sums == nullptr) continue;
    std::ranges::transform(sums->counts, entry.counts.begin(),
                           [](double count) { return static_cast<float>(count); });
    entry.sums = sums->values;
    if (std::ranges::all_of(entry.sums, [](double v) { return std::isfinite(v); })) continue;
    throw Error(ErrorCode::kCorruptFile, "the model computes values that are not finite",
                "its weights are damaged; download or convert it again")
        .at(matrix.name);
  }
  return entries;
}

std::vector<double> InputSquares::expert_counts(std::uint64_t layer) const {
  for (const Matrix& matrix : matrices_) {
    if (!matrix.stack || matrix.key.layer != static_cast<int>(layer)) continue;
    const Sums* const sums = sums_of(matrix);
    return sums != nullptr ? sums->counts : std::vector<double>(matrix.matrices);
  }
  return {};
}

std::uint64_t InputSquares::bytes(const model::ModelConfig& config) {
  std::uint64_t columns = 0;
  for (const Matrix& matrix : InputSquares(config, true).matrices_) {
    columns += matrix.matrices * matrix.columns;
  }
  return columns * sizeof(double);
}

}  // namespace pajamas::calibrate
