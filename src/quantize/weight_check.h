// What no output may hold: numbers that the source does not have, or that are none.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/checkpoint.h"
#include "quantize/plan.h"

namespace pajamas::quantize {

// Weights up to this size have room in an encoding whatever stands beside them
// (codec::always_room, and FP8, which has room for all).
float room_of(const Encoding& encoding) noexcept;

// Looks at the weights of one execution before and after they are encoded. Rows of different pieces
// may be looked at at the same time.
class WeightCheck {
 public:
  WeightCheck(const Plan& plan, const model::Checkpoint& checkpoint);

  // Rows from `first` on, as floats. `limit`: the smallest room_of the encodings they get.
  // Returns whether `require_room` has something to look at. Throws as weights::require_finite.
  bool look(const model::StoredTensor& tensor, std::uint64_t first, std::span<const float> weights,
            float limit);

  // Throws Error{kUnsupported} that names file, tensor, row and the types that fit where a weight
  // has no room in what it was encoded to (codec::first_without_room).
  void require_room(const model::StoredTensor& tensor, std::uint64_t first,
                    std::span<const float> weights, std::span<const float> importance,
                    const PlannedOutput& output, const PlannedTensor& target,
                    const ConstPlanes& encoded) const;

  // A sentence for each output in which tensors that are not zeros became zeros.
  std::vector<std::string> vanished() const;

 private:
  // Not zero; and more than what vanishes in F16, and under a scale of E4M3.
  enum Seen : std::uint8_t { kNothing, kSmall, kMiddling, kLarge };
  static Seen size_of(std::span<const float> weights) noexcept;

  const Plan& plan_;
  const model::Checkpoint& checkpoint_;
  std::vector<std::atomic<std::uint8_t>> seen_;  // of each tensor of the checkpoint
};

}  // namespace pajamas::quantize
