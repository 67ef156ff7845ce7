// Products of stored matrices with activations, whatever the matrix is stored as.
#pragma once

#include <cstdint>
#include <span>

#include "base/parallel.h"
#include "kernels/table.h"
#include "runtime/tap.h"
#include "weights/store.h"

namespace pajamas::runtime {

// What native operations run on.
struct Device {
  const kernels::KernelTable& kernels;
  const TaskPool& pool;
  // Products with activations rounded to eight bits, where a matrix is stored quantized; without
  // them all products are those of floats.
  const kernels::Int8Kernels* int8 = nullptr;
};

// Rows of activations, and numbers of them, that one task of a loop over them takes.
inline constexpr std::uint64_t kRowsAPiece = 16;
inline constexpr std::uint64_t kFloatsAPiece = 16384;

// out[m][n] = sum over c of x[m][c] * w[n][c]. The same floats for every number of threads and of
// rows in `x`. out.size() is x.count * w.rows.
void linear(const Device& device, const weights::WeightView& w, Rows x, std::span<float> out);

// Several products at once, so that many small ones keep all threads busy.
struct LinearJob {
  weights::WeightView w;
  Rows x;
  std::span<float> out;
};
void linear(const Device& device, std::span<const LinearJob> jobs);

// One row as floats; out.size() is w.cols.
void decode_row(const Device& device, const weights::WeightView& w, std::uint64_t row,
                std::span<float> out);

}  // namespace pajamas::runtime
