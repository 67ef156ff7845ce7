// Products of stored matrices with activations, whatever the matrix is stored as.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <utility>
#include <vector>

#include "runtime/native/cpu/processor.h"
#include "runtime/native/cpu/rounded_rows.h"
#include "runtime/tap.h"
#include "weights/store.h"

namespace pajamas::runtime {

// out[m][n] = sum over c of x[m][c] * w[n][c]. The same floats for every number of threads and of
// rows in `x`. out.size() is x.count * w.rows.
struct LinearJob {
  weights::WeightView w;
  Rows x;
  std::span<float> out;
};

// What products need on the way, kept from one call to the next.
class LinearScratch {
 private:
  friend class LinearRun;
  // A product and, where it is one of whole numbers, its activations.
  struct Product {
    const LinearJob* job;
    const RoundedRows* rounded = nullptr;
  };
  std::vector<std::uint64_t> ends_;  // of each job's tasks, all jobs' tasks in one row
  std::vector<Product> products_;
  std::deque<RoundedRows> rounded_;  // a deque does not move what it holds
  std::vector<std::pair<RoundedRows*, std::size_t>> tiles_;
};

// Several products at once, so that many small ones keep all threads busy.
void linear(const Processor& processor, std::span<const LinearJob> jobs, LinearScratch& scratch);

// One, with scratch of its own.
void linear(const Processor& processor, const weights::WeightView& w, Rows x, std::span<float> out);

// One row as floats; out.size() is w.cols.
void decode_row(const kernels::KernelTable& kernels, const weights::WeightView& w,
                std::uint64_t row, std::span<float> out);

}  // namespace pajamas::runtime
