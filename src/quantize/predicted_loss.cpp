#include "quantize/predicted_loss.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "codec/codec.h"
#include "weights/row_reader.h"

namespace pajamas::quantize {
namespace {

// Weights of a tensor that are looked at, about; and rows, at least.
constexpr std::uint64_t kWeightsSeen = 16 * 1024;
constexpr std::uint64_t kRowsSeen = 4;
// Columns of the rows of usual weights: a multiple of every block and group.
constexpr std::uint64_t kUsualCols = 2048;

// Sums of twelve uniform numbers: the same on every machine.
std::vector<float> normal_numbers(std::size_t count) {
  std::vector<float> numbers(count);
  std::uint64_t state = 1;
  for (float& number : numbers) {
    float sum = 0;
    for (int i = 0; i < 12; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      sum += static_cast<float>(state >> 40) * 0x1p-24f;
    }
    number = (sum - 6) * 0.02f;
  }
  return numbers;
}

double of_row(const kernels::KernelTable& kernels, const Encoding& encoding,
              std::span<const float> row, const RowSample::Columns& columns, double& energy) {
  std::array<std::vector<std::byte>, Encoding::kMaxPlanes> stored;
  Planes planes;
  ConstPlanes written;
  for (std::size_t p = 0; p < encoding.planes(); ++p) {
    stored[p].resize(encoding.plane_row_bytes(p, row.size()));
    planes.plane[p] = stored[p];
    written.plane[p] = stored[p];
  }
  kernels.encode_rows(encoding, row,
                      encoding.is_plain() ? std::span<const float>() : columns.importance,
                      row.size(), planes);
  std::vector<float> out(row.size());
  kernels.decode_rows(encoding, written, row.size(), out);
  double sum = 0;
  for (std::size_t j = 0; j < row.size(); ++j) {
    const double weight = columns.squares.empty() ? 1.0 : columns.squares[j];
    const double error = double{out[j]} - row[j];
    sum += weight * error * error;
    energy += weight * row[j] * row[j];
  }
  return sum;
}

}  // namespace

double influence(const model::TensorSpec& tensor, const model::ModelConfig& config) noexcept {
  using model::Role;
  constexpr double kOutput = 2.5, kLayer = 6, kAttnQK = 0.5, kAttnV = 1.3, kAttnOutput = 0.6,
                   kFeedForward = 1.2;
  const double of_layers = 1 / static_cast<double>(config.layers);
  switch (tensor.key.role) {
    case Role::kOutput:
      return kOutput;
    case Role::kTokenEmbedding:
      // As much as a layer, which it is to those that follow.
      return kLayer * of_layers + (config.tied_output ? kOutput : 0);
    case Role::kAttnQ:
    case Role::kAttnK:
      return kAttnQK * of_layers;
    case Role::kAttnV:
      return kAttnV * of_layers;
    case Role::kAttnOutput:
      return kAttnOutput * of_layers;
    default:
      return kFeedForward * of_layers;
  }
}

double relative_error(const kernels::KernelTable& kernels, const Encoding& encoding,
                      const RowSample& sample) {
  double error = 0, energy = 0;
  for (std::size_t i = 0; i < sample.columns.size(); ++i) {
    const auto row = std::span(sample.rows).subspan(i * sample.cols, sample.cols);
    error += of_row(kernels, encoding, row, sample.columns[i], energy);
  }
  return energy > 0 ? error / energy : 0;
}

// What a norm puts out has a mean square in proportion to its gain's.
void SampledLoss::read_gains(const model::StoredTensor& tensor, RowSample& sample) const {
  const auto key = norm_before(tensor.key);
  const model::StoredTensor* norm = key ? checkpoint_->find(*key) : nullptr;
  if (norm == nullptr || norm->shape.elements() != sample.cols) return;
  std::vector<float> gains(sample.cols);
  weights::RowReader(*checkpoint_, *kernels_).read(*norm, 0, norm->shape.rows(), gains);
  const bool usable = codec::first_non_finite(gains) == gains.size() &&
                      std::ranges::any_of(gains, [](float gain) { return gain != 0; });
  if (!usable) return;
  for (const float gain : gains) sample.gains_squared.push_back(gain * gain);
}

RowSample SampledLoss::sample(const model::StoredTensor& tensor) const {
  const std::uint64_t cols = tensor.shape.cols(), rows = tensor.shape.rows();
  const std::uint64_t count = std::min(rows, std::max(kRowsSeen, kWeightsSeen / cols));
  const bool stack = tensor.shape.rank() == 3;
  const std::uint64_t rows_of_expert = stack ? rows / tensor.shape[0] : rows;
  RowSample sample{cols, std::vector<float>(count * cols), {}, {}};
  read_gains(tensor, sample);
  weights::RowReader reader(*checkpoint_, *kernels_);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t row = (2 * i + 1) * rows / (2 * count);
    reader.read(tensor, row, 1, std::span(sample.rows).subspan(i * cols, cols));
    model::TensorKey key = tensor.key;
    if (stack) key.expert = static_cast<int>(row / rows_of_expert);
    const auto measured = importance_ == nullptr ? std::span<const float>() : importance_->of(key);
    if (measured.empty()) {
      sample.columns.push_back({{}, sample.gains_squared});
    } else {
      sample.columns.push_back({measured, measured});
    }
  }
  return sample;
}

std::vector<double> SampledLoss::of(const model::TensorSpec& tensor,
                                    std::span<const Encoding> encodings) {
  const RowSample rows = sample(checkpoint_->get(tensor.key));
  const double weight = influence(tensor, checkpoint_->config());
  std::vector<double> losses(encodings.size());
  // The pass itself reports what is not finite, when it comes to it.
  if (codec::first_non_finite(rows.rows) != rows.rows.size()) return losses;
  std::ranges::transform(encodings, losses.begin(), [&](const Encoding& encoding) {
    return weight * relative_error(*kernels_, encoding, rows);
  });
  return losses;
}

std::vector<double> TypicalLoss::of(const model::TensorSpec& tensor,
                                    std::span<const Encoding> encodings) {
  const std::lock_guard lock(mutex_);
  std::vector<double> losses;
  for (const Encoding& encoding : encodings) {
    auto known = std::ranges::find(known_, encoding, &decltype(known_)::value_type::first);
    if (known == known_.end()) {
      RowSample sample{kUsualCols, normal_numbers(kWeightsSeen), {}, {}};
      sample.columns.resize(kWeightsSeen / kUsualCols);
      known_.emplace_back(encoding, relative_error(*kernels_, encoding, sample));
      known = known_.end() - 1;
    }
    losses.push_back(influence(tensor, *config_) * known->second);
  }
  return losses;
}

}  // namespace pajamas::quantize
