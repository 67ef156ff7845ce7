#include "quantize/allocation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

namespace pajamas::quantize {
namespace {

using Tensors = std::vector<std::vector<Candidate>>;

Tensors random_tensors(std::mt19937& random, std::size_t count, std::size_t most) {
  Tensors tensors(count);
  for (auto& candidates : tensors) {
    candidates.resize(1 + random() % most);
    for (Candidate& candidate : candidates) {
      candidate.bytes = 32 * (1 + random() % 40);
      candidate.loss = static_cast<double>(random() % 1000) / 100;
    }
  }
  return tensors;
}

// The least loss of all combinations that fit.
double best_of_all(const Tensors& tensors, std::uint64_t limit, std::size_t first = 0) {
  if (first == tensors.size()) return 0;
  double best = std::numeric_limits<double>::infinity();
  for (const Candidate& candidate : tensors[first]) {
    if (candidate.bytes > limit) continue;
    best =
        std::min(best, candidate.loss + best_of_all(tensors, limit - candidate.bytes, first + 1));
  }
  return best;
}

// What one step of one tensor can save, at most.
double largest_step(const Tensors& tensors) {
  double largest = 0;
  for (const auto& candidates : tensors) {
    const auto [least, most] = std::ranges::minmax(candidates, {}, &Candidate::loss);
    largest = std::max(largest, most.loss - least.loss);
  }
  return largest;
}

TEST(Allocation, IsWithinOneStepOfTheBestOfAllCombinations) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    const Tensors tensors = random_tensors(random, 5, 5);
    const std::uint64_t limit = 32 * (random() % 160);
    const auto found = allocate(tensors, limit);
    const double best = best_of_all(tensors, limit);
    ASSERT_EQ(found.has_value(), best < std::numeric_limits<double>::infinity());
    if (!found) continue;
    EXPECT_GE(found->loss, best - 1e-9);
    EXPECT_LE(found->loss, best + largest_step(tensors));
    std::uint64_t bytes = 0;
    double loss = 0;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      bytes += tensors[i][found->chosen[i]].bytes;
      loss += tensors[i][found->chosen[i]].loss;
    }
    EXPECT_EQ(bytes, found->bytes);
    EXPECT_LE(bytes, limit);
    EXPECT_DOUBLE_EQ(loss, found->loss);
  }
}

TEST(Allocation, ALargerLimitNeverHasALargerLoss) {
  std::mt19937 random(2);
  for (int round = 0; round < 30; ++round) {
    const Tensors tensors = random_tensors(random, 30, 12);
    const std::uint64_t least = smallest_allocation(tensors).bytes;
    EXPECT_FALSE(allocate(tensors, least - 1));
    double before = std::numeric_limits<double>::infinity();
    for (std::uint64_t limit = least; limit < least + 32 * 40 * 30; limit += 32) {
      const auto found = allocate(tensors, limit);
      ASSERT_TRUE(found);
      EXPECT_LE(found->bytes, limit);
      EXPECT_LE(found->loss, before + 1e-9) << limit;
      before = found->loss;
    }
    // In the end nobody is held back.
    double least_loss = 0;
    for (const auto& candidates : tensors) {
      least_loss += std::ranges::min_element(candidates, {}, &Candidate::loss)->loss;
    }
    EXPECT_NEAR(before, least_loss, 1e-9);
  }
}

TEST(Allocation, TakesTheStepThatSavesMostAByteAndThenWhatStillFits) {
  // A big step that saves 1 a byte, and small ones that save less.
  const Tensors tensors{{{{}, 100, 1000}, {{}, 1000, 100}},
                        {{{}, 100, 50}, {{}, 150, 10}},
                        {{{}, 100, 50}, {{}, 200, 20}}};
  const auto losses = [&](std::uint64_t limit) { return allocate(tensors, limit)->loss; };
  EXPECT_EQ(losses(300), 1100);
  EXPECT_EQ(losses(349), 1100);
  EXPECT_EQ(losses(350), 1060);  // the big one does not fit
  EXPECT_EQ(losses(450), 1030);  // nor yet
  EXPECT_EQ(losses(1200), 200);  // now it does
  EXPECT_EQ(losses(1350), 130);
}

TEST(Allocation, WhatIsLargerAndNoBetterIsNeverTaken) {
  const Tensors tensors{{{{}, 100, 5}, {{}, 200, 5}, {{}, 300, 6}}};
  EXPECT_EQ(allocate(tensors, 1000)->chosen, std::vector<std::size_t>{0});
  EXPECT_FALSE(allocate(tensors, 99));
}

}  // namespace
}  // namespace pajamas::quantize
