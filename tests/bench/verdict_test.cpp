#include "bench/verdict.h"

#include <gtest/gtest.h>

#include <cmath>

namespace pajamas::bench {
namespace {

using Samples = std::vector<std::vector<double>>;

TEST(Verdict, ComparesRoundsInPairs) {
  // The machine halves its speed every other round, for both: nothing of that is noise here.
  const Samples samples{{10, 5, 10, 5}, {20, 10, 20, 10}, {9, 4, 9, 4}};
  const Verdict verdict = judge_rounds("speed", Better::kMore, samples);
  EXPECT_EQ(verdict.best, 1u);
  EXPECT_EQ(verdict.second, 0u);
  EXPECT_TRUE(verdict.beyond_noise);
  EXPECT_NEAR(verdict.ratio, 2, 1e-12);
  EXPECT_NEAR(verdict.low, 2, 1e-9);
  EXPECT_NEAR(verdict.high, 2, 1e-9);
}

TEST(Verdict, HasStudentsInterval) {
  // Logarithms of the ratio 0.1, 0.2 and 0.3: mean 0.2, standard deviation 0.1, 4.303 for two
  // degrees of freedom.
  const Samples samples{{1, 1, 1}, {std::exp(0.1), std::exp(0.2), std::exp(0.3)}};
  const Verdict verdict = judge_rounds("speed", Better::kMore, samples);
  const double width = 4.303 * 0.1 / std::sqrt(3);
  EXPECT_NEAR(std::log(verdict.ratio), 0.2, 1e-12);
  EXPECT_NEAR(std::log(verdict.low), 0.2 - width, 1e-9);
  EXPECT_NEAR(std::log(verdict.high), 0.2 + width, 1e-9);
  // 0.2 against 0.248: three rounds cannot tell.
  EXPECT_FALSE(verdict.beyond_noise);
  EXPECT_EQ(verdict_text(verdict, "faster"), "no difference beyond noise (1.22x, 0.953..1.57)");
}

TEST(Verdict, TakesTheLesserOfSizes) {
  const Verdict verdict = judge_exact("size", Better::kLess, std::vector<double>{40, 10, 25});
  EXPECT_EQ(verdict.best, 1u);
  EXPECT_EQ(verdict.second, 2u);
  EXPECT_TRUE(verdict.beyond_noise);
  EXPECT_NEAR(verdict.ratio, 2.5, 1e-12);
  EXPECT_EQ(verdict.low, verdict.high);
  EXPECT_EQ(verdict_text(verdict, "smaller"), "2.5x smaller");
  const Verdict equal = judge_exact("size", Better::kLess, std::vector<double>{10, 10});
  EXPECT_FALSE(equal.beyond_noise);
  EXPECT_EQ(verdict_text(equal, "smaller"), "no difference");
}

TEST(Verdict, TakesErrorsOfLogarithmsTogether) {
  // Both against a third: 1.96 * hypot(0.03, 0.04) = 0.098.
  const std::vector<LogFigure> figures{{1, 0}, {0.8, 0.03}, {0.65, 0.04}};
  const Verdict verdict = judge_logs("quality", Better::kLess, figures);
  EXPECT_EQ(verdict.best, 2u);
  EXPECT_EQ(verdict.second, 1u);
  EXPECT_NEAR(std::log(verdict.ratio), 0.15, 1e-12);
  EXPECT_NEAR(std::log(verdict.low), 0.15 - 0.098, 1e-9);
  EXPECT_TRUE(verdict.beyond_noise);
}

}  // namespace
}  // namespace pajamas::bench
