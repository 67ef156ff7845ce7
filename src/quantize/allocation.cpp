#include "quantize/allocation.h"

#include <algorithm>
#include <numeric>

#include "base/bytes.h"
#include "base/error.h"

namespace pajamas::quantize {
namespace {

// From one candidate of a tensor to a larger one.
struct Step {
  std::size_t tensor = 0;
  std::size_t from = 0;
  std::size_t to = 0;
  std::uint64_t bytes = 0;
  double gain = 0;

  double rate() const noexcept { return gain / static_cast<double>(bytes); }
};

// By bytes, of equal ones the least loss first.
std::vector<std::size_t> by_size(std::span<const Candidate> candidates) {
  std::vector<std::size_t> order(candidates.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    const Candidate &left = candidates[a], &right = candidates[b];
    return left.bytes != right.bytes ? left.bytes < right.bytes : left.loss < right.loss;
  });
  return order;
}

// The steps along the hull: each saves less a byte than the one before it.
std::vector<Step> hull(std::size_t tensor, std::span<const Candidate> candidates) {
  std::vector<Step> steps;
  const std::vector<std::size_t> order = by_size(candidates);
  std::size_t last = order.front();
  for (const std::size_t next : order) {
    if (candidates[next].loss >= candidates[last].loss) continue;
    Step step{tensor, last, next, 0, 0};
    // A step that saves more a byte than the one before takes its place.
    for (;;) {
      step.bytes = candidates[next].bytes - candidates[step.from].bytes;
      step.gain = candidates[step.from].loss - candidates[next].loss;
      if (steps.empty() || steps.back().rate() > step.rate()) break;
      step.from = steps.back().from;
      steps.pop_back();
    }
    steps.push_back(step);
    last = next;
  }
  return steps;
}

}  // namespace

Allocation smallest_allocation(std::span<const std::vector<Candidate>> tensors) {
  Allocation allocation;
  for (const std::vector<Candidate>& candidates : tensors) {
    PJ_CHECK(!candidates.empty());
    const std::size_t first = by_size(candidates).front();
    allocation.chosen.push_back(first);
    allocation.bytes = checked_add(allocation.bytes, candidates[first].bytes);
    allocation.loss += candidates[first].loss;
  }
  return allocation;
}

std::optional<Allocation> allocate(std::span<const std::vector<Candidate>> tensors,
                                   std::uint64_t limit) {
  Allocation allocation = smallest_allocation(tensors);
  if (allocation.bytes > limit) return std::nullopt;
  std::vector<Step> steps;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto own = hull(i, tensors[i]);
    steps.insert(steps.end(), own.begin(), own.end());
  }
  // Those of one tensor stay in their order: their rates fall.
  std::ranges::stable_sort(steps, std::ranges::greater(), &Step::rate);
  for (const Step& step : steps) {
    std::size_t& chosen = allocation.chosen[step.tensor];
    if (chosen != step.from || step.bytes > limit - allocation.bytes) continue;
    chosen = step.to;
    allocation.bytes += step.bytes;
  }
  allocation.loss = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    allocation.loss += tensors[i][allocation.chosen[i]].loss;
  }
  return allocation;
}

}  // namespace pajamas::quantize
