// What a tap sees of a device's memory.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/native/device.h"

namespace pajamas::runtime {

class TapReader {
 public:
  // `device` must outlive it.
  explicit TapReader(Device& device) noexcept : device_(device) {}

  // `x` is about to be multiplied with the matrices of all products; row i is batch_rows[i].
  void show(LinearTap& tap, std::span<const Projection> products, FloatView x,
            std::span<const std::uint32_t> batch_rows);
  // The same of assignments [assignments][cols]: the rows of each expert that has any.
  void show_experts(LinearTap& tap, std::span<const Projection> products, const Routing& routing,
                    FloatView x);

 private:
  Device& device_;
  std::vector<model::TensorKey> keys_;
  std::vector<float> values_;
  std::vector<std::uint32_t> rows_, begin_;
};

}  // namespace pajamas::runtime
