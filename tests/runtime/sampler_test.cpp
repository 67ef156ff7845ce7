#include "runtime/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "base/error.h"

namespace pajamas::runtime {
namespace {

SamplerOptions plain() {
  return {.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0, .repeat_penalty = 1, .seed = 1};
}

// Logits whose softmax is 1/2, 1/4, 1/8, 1/16, 1/16.
const std::vector<float> kHalves = {0.0f, -std::log(2.0f), -std::log(4.0f), -std::log(8.0f),
                                    -std::log(8.0f)};

std::map<std::int32_t, int> drawn(const SamplerOptions& options, int count) {
  Sampler sampler(options);
  std::map<std::int32_t, int> counts;
  for (int i = 0; i < count; ++i) ++counts[sampler.sample(kHalves)];
  return counts;
}

TEST(Sampler, DrawsByLikelihood) {
  auto counts = drawn(plain(), 16000);
  EXPECT_NEAR(counts[0], 8000, 300);  // five standard deviations
  EXPECT_NEAR(counts[1], 4000, 275);
  EXPECT_NEAR(counts[2], 2000, 210);
  EXPECT_NEAR(counts[4], 1000, 155);
}

TEST(Sampler, TemperatureSharpens) {
  SamplerOptions options = plain();
  options.temperature = 0.5;  // weights squared: 16 : 4 : 1 : 1/4 : 1/4
  EXPECT_NEAR(drawn(options, 16000)[0], 16000 * 16 / 21.5, 275);
  options.temperature = 1e-9;
  EXPECT_EQ(drawn(options, 100)[0], 100);
}

TEST(Sampler, ZeroTemperatureTakesTheFirstOfTheLikeliest) {
  SamplerOptions options = plain();
  options.temperature = 0;
  Sampler sampler(options);
  EXPECT_EQ(sampler.sample(std::vector<float>{1, 3, 3, 2}), 1);
}

TEST(Sampler, EachCutKeepsWhatItSays) {
  SamplerOptions options = plain();
  options.top_k = 2;
  EXPECT_EQ(drawn(options, 500).size(), 2u);
  options = plain();
  options.top_p = 0.76;  // 1/2 + 1/4 do not reach it, the third does
  EXPECT_EQ(drawn(options, 500).size(), 3u);
  options = plain();
  options.min_p = 0.3;  // of 1/2: 0.15 and above
  EXPECT_EQ(drawn(options, 500).size(), 2u);
  options = plain();
  options.top_k = 1000;
  EXPECT_EQ(drawn(options, 2000).size(), 5u);
}

TEST(Sampler, PenaltyWeakensWhatWasSaidWithinItsWindow) {
  SamplerOptions options = plain();
  options.temperature = 0;
  options.repeat_penalty = 2;
  Sampler sampler(options);
  const std::vector<float> logits = {3, 2, -1};
  EXPECT_EQ(sampler.sample(logits), 0);
  sampler.accept(0);
  EXPECT_EQ(sampler.sample(logits), 1);                            // 1.5 against 2
  EXPECT_EQ(sampler.sample(std::vector<float>{-1.0f, -1.5f}), 1);  // -2: negatives are multiplied
  for (std::size_t i = 0; i < 64; ++i) sampler.accept(2);
  EXPECT_EQ(sampler.sample(logits), 0);
}

TEST(Sampler, DamagedLogitsAreAnError) {
  Sampler sampler(plain());
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_THROW(sampler.sample(std::vector<float>{0, nan}), Error);
  EXPECT_THROW(sampler.sample(std::vector<float>{0, infinity}), Error);
  EXPECT_THROW(sampler.sample(std::vector<float>{-infinity, -infinity}), Error);
  EXPECT_EQ(sampler.sample(std::vector<float>{-infinity, 0}), 1);
}

TEST(Sampler, OptionsWithoutMeaningAreRefused) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto refused = [](auto change) {
    SamplerOptions options = plain();
    change(options);
    EXPECT_THROW(Sampler{options}, Error);
  };
  refused([&](SamplerOptions& o) { o.temperature = nan; });
  refused([](SamplerOptions& o) { o.temperature = -0.1; });
  refused([](SamplerOptions& o) { o.top_k = -1; });
  refused([](SamplerOptions& o) { o.top_p = 0; });
  refused([](SamplerOptions& o) { o.top_p = 1.1; });
  refused([&](SamplerOptions& o) { o.min_p = nan; });
  refused([](SamplerOptions& o) { o.repeat_penalty = 0; });
}

}  // namespace
}  // namespace pajamas::runtime
