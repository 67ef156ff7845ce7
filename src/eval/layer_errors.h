// Where a model comes to differ from the one it was made from: both run layer by layer over one
// text.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "runtime/layer_major.h"

namespace pajamas::eval {

struct LayerError {
  // L2 norm of the difference between the outputs of both models' blocks, over that of the
  // reference's, all rows of the text together. Each model goes on from its own outputs.
  double error = 0;
  // Of layers with experts: how many of the reference's choices the model made too, 0 to 1.
  double same_experts = 0;
  // The share of all choices that each expert has; empty for layers without experts.
  std::vector<double> load, reference_load;
};

// What to do around the layers of two streams, the model's and then the reference's.
class LayerErrors final : private runtime::LinearTap {
 public:
  runtime::LinearTap* begin(std::size_t stream, const model::ModelConfig& config,
                            std::uint64_t layer);
  // Both stores have the outputs of a batch once the reference is through.
  void after_batch(std::size_t stream, std::size_t batch, runtime::ActivationStore& model,
                   runtime::ActivationStore& reference);
  void end(std::size_t stream);

  // Of the layers that both models are through with.
  std::span<const LayerError> layers() const noexcept { return layers_; }

 private:
  static constexpr std::size_t kReference = 1;
  using Choice = std::pair<std::uint32_t, std::uint32_t>;  // row of the batch, expert

  void input(std::span<const model::TensorKey> matrices, runtime::Rows x,
             std::span<const std::uint32_t> batch_rows) override;

  std::vector<LayerError> layers_;
  // Of the layer that runs.
  double difference_ = 0, total_ = 0;          // sums of squares
  std::uint64_t same_ = 0;                     // choices of both
  std::vector<std::uint64_t> chosen_[2];       // by each stream: rows of each expert
  std::vector<Choice> choices_;                // of the batch that runs
  std::vector<std::vector<Choice>> of_model_;  // of each batch
};

}  // namespace pajamas::eval
