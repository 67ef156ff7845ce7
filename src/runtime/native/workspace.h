// Where a forward pass keeps what it computes on the way: one piece of the device's memory, made
// once, with room for the largest batch. What runs next takes the place of what ran before.
#pragma once

#include <cstddef>
#include <cstdint>

#include "model/config.h"
#include "runtime/native/device.h"

namespace pajamas::runtime {

// Of the attention half of a layer.
struct AttentionWork {
  FloatView x;        // normed
  FloatView queries;  // [rows][heads * head_dim]
  FloatView keys;     // [rows][kv_heads * head_dim]
  FloatView values;   // the same
  FloatView mixed;    // as queries
  FloatView update;
};

// Of the feed-forward half.
struct FeedForwardWork {
  FloatView x;  // normed
  FloatView gate;
  FloatView up;
  FloatView update;
};

// Of one with experts.
struct ExpertWork {
  FloatView x;       // normed
  FloatView scores;  // [rows][experts]
  Routing routing;
  FloatView rows;  // [assignments][hidden]
  FloatView gate;  // [assignments][expert_ffn]
  FloatView up;
  FloatView update;
};

class Workspace {
 public:
  // Of batches of up to `rows`.
  Workspace(Device& device, std::size_t rows);
  static std::uint64_t bytes_for(const model::ModelConfig& config, std::size_t rows);

  AttentionWork attention(std::size_t rows) const;
  FeedForwardWork feed_forward(std::size_t rows) const;
  ExpertWork experts(std::size_t rows) const;
  FloatView output(std::size_t rows) const;  // what the output matrix takes

 private:
  const model::ModelConfig& config_;
  Buffer buffer_;
};

}  // namespace pajamas::runtime
