// The activations of a batch on the CPU engine.
#pragma once

#include <algorithm>

#include "runtime/native/cpu_engine.h"

namespace pajamas::runtime {

class CpuEngine::CpuHidden final : public Hidden {
 public:
  CpuHidden(std::size_t rows, const model::ModelConfig& config)
      : count(rows),
        width(config.hidden),
        half(config.head_dim / 2),
        values(rows * config.hidden),
        cos(rows * half),
        sin(rows * half) {}

  std::size_t rows() const noexcept override { return count; }
  void read_row(std::size_t row, std::span<float> out) const override {
    std::copy_n(values.data() + row * width, width, out.data());
  }

  std::span<float> row(std::size_t i) noexcept {
    return std::span(values).subspan(i * width, width);
  }
  std::span<const float> row(std::size_t i) const noexcept {
    return std::span(values).subspan(i * width, width);
  }
  // Adds a projection's output to the residual stream.
  void add(std::span<const float> update) noexcept {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] += update[i];
  }

  std::size_t count;
  std::size_t width;
  std::size_t half;    // pairs of one head that rope turns
  FloatBuffer values;  // [rows][hidden]
  FloatBuffer cos;     // [rows][half]
  FloatBuffer sin;     // [rows][half]
};

}  // namespace pajamas::runtime
