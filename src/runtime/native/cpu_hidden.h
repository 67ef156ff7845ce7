// The activations of a batch on the CPU engine.
#pragma once

#include <algorithm>
#include <vector>

#include "runtime/native/cpu_engine.h"

namespace pajamas::runtime {

// Positions [first, end) that a batch adds to a session.
struct SessionRows {
  SessionId session;
  std::uint32_t first;
  std::uint32_t end;
};

class CpuEngine::CpuHidden final : public Hidden {
 public:
  // `engine` is the number of the one that makes it. Rows are zero.
  CpuHidden(std::uint64_t engine, Batch batch, const model::ModelConfig& config);

  std::size_t rows() const noexcept override { return count; }
  std::size_t width() const noexcept override { return cols; }
  void read_row(std::size_t i, std::span<float> out) const override {
    std::ranges::copy(row(i), out.begin());
  }

  std::span<float> row(std::size_t i) noexcept { return std::span(values).subspan(i * cols, cols); }
  std::span<const float> row(std::size_t i) const noexcept {
    return std::span(values).subspan(i * cols, cols);
  }

  std::uint64_t engine;
  std::size_t count;
  std::size_t cols;
  std::size_t half;                    // pairs of one head that rope turns
  FloatBuffer values;                  // [rows][hidden]
  FloatBuffer cos;                     // [rows][half]
  FloatBuffer sin;                     // [rows][half]
  std::vector<SessionRows> sessions;   // of the batch
  std::vector<std::uint32_t> numbers;  // 0, 1, ... of the rows
};

}  // namespace pajamas::runtime
