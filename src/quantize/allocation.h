// Which type every tensor gets, where all of them together have a limit: a knapsack with a choice
// for each tensor. It knows neither files nor formats nor where losses come from.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "tensor/encoding.h"

namespace pajamas::quantize {

// One way to store a tensor, and what that costs the model. Losses of all tensors add up, whatever
// they are: predicted errors, or divergences that were measured.
struct Candidate {
  Encoding encoding;
  std::uint64_t bytes = 0;
  double loss = 0;
};

struct Allocation {
  std::vector<std::size_t> chosen;  // of each tensor: index into its candidates
  std::uint64_t bytes = 0;
  double loss = 0;
};

// The smallest that there is.
Allocation smallest_allocation(std::span<const std::vector<Candidate>> tensors);

// Of each tensor (which has a candidate at least) one of those on the lower convex hull of loss
// over bytes: from the smallest, the steps that save most loss a byte as far as they fit (the
// Lagrangian solution), then smaller ones that still do. At most one step from the optimum; never
// above `limit`; a larger limit never has a larger loss. Nothing where not even the smallest fits.
std::optional<Allocation> allocate(std::span<const std::vector<Candidate>> tensors,
                                   std::uint64_t limit);

}  // namespace pajamas::quantize
