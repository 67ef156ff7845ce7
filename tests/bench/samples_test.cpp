#include "bench/samples.h"

#include <gtest/gtest.h>

#include <vector>

namespace pajamas::bench {
namespace {

TEST(Samples, HaveAMedianThatNoOutlierMoves) {
  const Spread odd = spread_of(std::vector<double>{3, 1, 1000});
  EXPECT_EQ(odd.median, 3);
  EXPECT_EQ(odd.low, 1);
  EXPECT_EQ(odd.high, 1000);
  const Spread even = spread_of(std::vector<double>{8, 1, 2, 4});
  EXPECT_EQ(even.median, 3);
  const Spread one = spread_of(std::vector<double>{7});
  EXPECT_EQ(one.low, 7);
  EXPECT_EQ(one.median, 7);
  EXPECT_EQ(one.high, 7);
}

TEST(Samples, BecomeRatesOneByOne) {
  // The median of the rates, 100, 50 and 10, and not the rate of a mean.
  const Spread rates = rates_of(100, std::vector<double>{1, 10, 2});
  EXPECT_EQ(rates.median, 50);
  EXPECT_EQ(rates.low, 10);
  EXPECT_EQ(rates.high, 100);
}

}  // namespace
}  // namespace pajamas::bench
