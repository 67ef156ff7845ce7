// What queries gather of values, run by run of the positions that they see.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "runtime/native/cpu/aligned.h"

namespace pajamas::runtime {

// The greatest score of a query so far, and the sum of exp(score - top); 0: it saw nothing.
struct AttentionSum {
  float top = -std::numeric_limits<float>::infinity();
  double weight = 0;
};

// What the queries of a tile have gathered, in the order [rows][group]: sums, and mixtures of
// values that were weighted with exp(score - top).
class Gathered {
 public:
  void reset(std::size_t queries, std::size_t dim) {
    dim_ = dim;
    sums_.assign(queries, AttentionSum{});
    mixed_.assign(queries * dim, 0.0f);
  }
  std::size_t queries() const noexcept { return sums_.size(); }
  AttentionSum& sum(std::size_t query) noexcept { return sums_[query]; }
  float* mixed(std::size_t query) noexcept { return mixed_.data() + query * dim_; }

  // Adds what the same queries gathered over positions behind these.
  void merge(const Gathered& next) noexcept {
    for (std::size_t q = 0; q < sums_.size(); ++q) {
      const AttentionSum& more = next.sums_[q];
      AttentionSum& sum = sums_[q];
      if (more.weight == 0) continue;
      const float* from = next.mixed_.data() + q * dim_;
      float* to = mixed(q);
      if (sum.weight == 0) {
        sum = more;
        std::copy_n(from, dim_, to);
        continue;
      }
      const float top = std::max(sum.top, more.top);
      const float kept = std::exp(sum.top - top), added = std::exp(more.top - top);
      sum.weight =
          sum.weight * static_cast<double>(kept) + more.weight * static_cast<double>(added);
      sum.top = top;
      for (std::size_t c = 0; c < dim_; ++c) to[c] = to[c] * kept + from[c] * added;
    }
  }

 private:
  std::size_t dim_ = 0;
  std::vector<AttentionSum> sums_;
  FloatBuffer mixed_;
};

}  // namespace pajamas::runtime
