#include "runtime/native/workspace.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"

namespace pajamas::runtime {
namespace {

// Hands out views, one behind the other. Without memory it measures: the same lines say what there
// is and how much it takes.
class Shelf {
 public:
  explicit Shelf(const Buffer* buffer = nullptr) : buffer_(buffer) {}

  FloatView floats(std::size_t rows, std::size_t cols) { return next<float>(rows, cols); }
  NumberView numbers(std::size_t rows, std::size_t cols) { return next<std::uint32_t>(rows, cols); }
  std::uint64_t bytes() const noexcept { return end_; }

 private:
  template <class T>
  View<T> next(std::size_t rows, std::size_t cols) {
    constexpr std::uint64_t kLine = 64;
    const std::uint64_t first = checked_add(end_, kLine - 1) / kLine * kLine;
    end_ = checked_add(first, checked_mul(checked_mul(rows, cols), sizeof(T)));
    if (buffer_ == nullptr) return {nullptr, 0, rows, cols};
    PJ_CHECK(end_ <= buffer_->bytes());
    return {buffer_->memory(), first / sizeof(T), rows, cols};
  }

  const Buffer* buffer_;
  std::uint64_t end_ = 0;
};

AttentionWork attention_on(Shelf& shelf, const model::ModelConfig& config, std::size_t rows) {
  return {.x = shelf.floats(rows, config.hidden),
          .queries = shelf.floats(rows, config.q_rows()),
          .keys = shelf.floats(rows, config.kv_rows()),
          .values = shelf.floats(rows, config.kv_rows()),
          .mixed = shelf.floats(rows, config.q_rows()),
          .update = shelf.floats(rows, config.hidden)};
}

FeedForwardWork feed_forward_on(Shelf& shelf, const model::ModelConfig& config, std::size_t rows) {
  return {.x = shelf.floats(rows, config.hidden),
          .gate = shelf.floats(rows, config.ffn),
          .up = shelf.floats(rows, config.ffn),
          .update = shelf.floats(rows, config.hidden)};
}

ExpertWork experts_on(Shelf& shelf, const model::ModelConfig& config, std::size_t rows) {
  const std::size_t assigned = checked_mul(rows, config.experts_used);
  return {.x = shelf.floats(rows, config.hidden),
          .scores = shelf.floats(rows, config.experts),
          .routing = {.rows = shelf.numbers(assigned, 1),
                      .weights = shelf.floats(assigned, 1),
                      .begin = shelf.numbers(config.experts + 1, 1),
                      .places = shelf.numbers(rows, config.experts_used)},
          .rows = shelf.floats(assigned, config.hidden),
          .gate = shelf.floats(assigned, config.expert_ffn),
          .up = shelf.floats(assigned, config.expert_ffn),
          .update = shelf.floats(rows, config.hidden)};
}

FloatView output_on(Shelf& shelf, const model::ModelConfig& config, std::size_t rows) {
  return shelf.floats(rows, config.hidden);
}

}  // namespace

Workspace::Workspace(Device& device, std::size_t rows)
    : config_(device.config()), buffer_(device.allocate(bytes_for(config_, rows))) {}

std::uint64_t Workspace::bytes_for(const model::ModelConfig& config, std::size_t rows) {
  Shelf attention, feed_forward, experts, output;
  attention_on(attention, config, rows);
  feed_forward_on(feed_forward, config, rows);
  experts_on(experts, config, rows);
  output_on(output, config, rows);
  return std::max({attention.bytes(), feed_forward.bytes(), experts.bytes(), output.bytes()});
}

AttentionWork Workspace::attention(std::size_t rows) const {
  Shelf shelf(&buffer_);
  return attention_on(shelf, config_, rows);
}

FeedForwardWork Workspace::feed_forward(std::size_t rows) const {
  Shelf shelf(&buffer_);
  return feed_forward_on(shelf, config_, rows);
}

ExpertWork Workspace::experts(std::size_t rows) const {
  Shelf shelf(&buffer_);
  return experts_on(shelf, config_, rows);
}

FloatView Workspace::output(std::size_t rows) const {
  Shelf shelf(&buffer_);
  return output_on(shelf, config_, rows);
}

}  // namespace pajamas::runtime
