#include "model/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace pajamas::model {
namespace {

struct Golden {
  std::string name;
  RopeScaling::Kind kind;
  std::uint64_t head_dim;
  double theta;
  double factor;
  std::uint64_t original_context;
  double beta_fast;
  double beta_slow;
  bool truncate;
  double low_freq_factor;
  double high_freq_factor;
  std::vector<double> frequencies;
};

const std::vector<Golden>& golden() {
  static const std::vector<Golden> cases = {
#include "data/rope_golden.inc"
  };
  return cases;
}

ModelConfig config_of(const Golden& golden) {
  ModelConfig config;
  config.head_dim = golden.head_dim;
  config.rope_theta = golden.theta;
  config.rope_scaling = {.kind = golden.kind,
                         .factor = golden.factor,
                         .original_context = golden.original_context,
                         .beta_fast = golden.beta_fast,
                         .beta_slow = golden.beta_slow,
                         .truncate = golden.truncate,
                         .attention_factor = yarn_attention_factor(golden.factor),
                         .low_freq_factor = golden.low_freq_factor,
                         .high_freq_factor = golden.high_freq_factor};
  return config;
}

TEST(Rope, FrequenciesAreThoseOfTransformers) {
  for (const Golden& golden : golden()) {
    const RopeTable table = rope_table(config_of(golden));
    ASSERT_EQ(table.frequencies.size(), golden.frequencies.size()) << golden.name;
    for (std::size_t i = 0; i < table.frequencies.size(); ++i) {
      ASSERT_NEAR(table.frequencies[i], golden.frequencies[i], golden.frequencies[i] * 1e-14)
          << golden.name << " pair " << i;
    }
  }
}

// The published range is 8.093 to 17.398: not rounded, so pair 8 keeps its frequency, 9 does not
// quite, and 18 is the first that is slowed in full.
TEST(Rope, GptOssKeepsItsRangeUnrounded) {
  const RopeTable table = rope_table(config_of(golden().front()));
  const auto share = [&](int pair) {  // of the plain frequency
    return table.frequencies[static_cast<std::size_t>(pair)] * std::pow(150000.0, pair / 32.0);
  };
  EXPECT_DOUBLE_EQ(share(8), 1);
  EXPECT_NEAR(share(9), 1 - (9 - 8.093) / (17.398 - 8.093) * (31.0 / 32), 1e-4);
  EXPECT_GT(share(17), 1.2 / 32);
  EXPECT_DOUBLE_EQ(share(18), 1.0 / 32);
  EXPECT_NEAR(table.factor, 1.3466, 5e-5);
}

TEST(Rope, OnlyYarnScalesCosineAndSine) {
  for (const Golden& golden : golden()) {
    const bool yarn = golden.kind == RopeScaling::Kind::kYarn;
    EXPECT_EQ(rope_table(config_of(golden)).factor,
              yarn ? yarn_attention_factor(golden.factor) : 1.0)
        << golden.name;
  }
  EXPECT_EQ(yarn_attention_factor(0.5), 1.0);
}

}  // namespace
}  // namespace pajamas::model
