#include "eval/layer_errors.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace pajamas::eval {
namespace {

std::uint64_t sum_of(std::span<const std::uint64_t> counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

std::vector<double> shares_of(std::span<const std::uint64_t> counts) {
  const double all = static_cast<double>(sum_of(counts));
  std::vector<double> shares;
  for (const std::uint64_t count : counts) shares.push_back(static_cast<double>(count) / all);
  return shares;
}

template <class Items>
std::uint64_t shared_choices(const Items& a, const Items& b) {
  std::uint64_t count = 0;
  for (auto at = a.begin(), other = b.begin(); at != a.end() && other != b.end();) {
    if (*at == *other)
      ++count, ++at, ++other;
    else if (*at < *other)
      ++at;
    else
      ++other;
  }
  return count;
}

}  // namespace

runtime::LinearTap* LayerErrors::begin(std::size_t stream, const model::ModelConfig& config,
                                       std::uint64_t layer) {
  if (stream != kReference) {
    difference_ = total_ = 0;
    same_ = 0;
    of_model_.clear();
  }
  choices_.clear();
  const bool is_sparse = config.is_sparse(layer);
  chosen_[stream].assign(is_sparse ? config.experts : 0, 0);
  return is_sparse ? this : nullptr;
}

// The experts' rows, of the first of their products.
void LayerErrors::input(std::span<const model::TensorKey> matrices, runtime::Rows,
                        std::span<const std::uint32_t> batch_rows) {
  const model::TensorKey& key = matrices.front();
  if (key.role != model::Role::kExpertGate) return;
  for (const std::uint32_t row : batch_rows) {
    choices_.emplace_back(row, static_cast<std::uint32_t>(key.expert));
  }
}

void LayerErrors::after_batch(std::size_t stream, std::size_t batch,
                              runtime::ActivationStore& model,
                              runtime::ActivationStore& reference) {
  std::ranges::sort(choices_);
  for (const auto& [row, expert] : choices_) ++chosen_[stream][expert];
  if (stream != kReference) {
    PJ_CHECK(of_model_.size() == batch);
    of_model_.push_back(std::exchange(choices_, {}));
    return;
  }
  same_ += shared_choices(of_model_.at(batch), choices_);
  choices_.clear();
  const std::span<const float> ours = model.read(batch), theirs = reference.read(batch);
  PJ_CHECK(ours.size() == theirs.size());
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const auto x = static_cast<double>(ours[i]), y = static_cast<double>(theirs[i]);
    difference_ += (x - y) * (x - y);
    total_ += y * y;
  }
}

void LayerErrors::end(std::size_t stream) {
  if (stream != kReference) return;
  LayerError& layer = layers_.emplace_back();
  layer.error = difference_ == 0 ? 0 : std::sqrt(difference_ / total_);
  const std::uint64_t choices = sum_of(chosen_[kReference]);
  if (choices == 0) return;
  layer.same_experts = static_cast<double>(same_) / static_cast<double>(choices);
  layer.load = shares_of(chosen_[0]);
  layer.reference_load = shares_of(chosen_[kReference]);
}

}  // namespace pajamas::eval
