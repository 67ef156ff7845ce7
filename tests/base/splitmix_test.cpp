#include "base/splitmix.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <limits>

namespace pajamas {
namespace {

// The numbers that everybody's splitmix64 gives for this seed.
TEST(SplitMix, IsTheKnownSequence) {
  constexpr std::array<std::uint64_t, 5> kKnown{6457827717110365317u, 3203168211198807973u,
                                                9817491932198370423u, 4593380528125082431u,
                                                16408922859458223821u};
  std::uint64_t state = 1234567;
  for (const std::uint64_t known : kKnown) EXPECT_EQ(next_split_mix(state), known);
  EXPECT_EQ(state, 1234567 + 5 * kSplitMixStep);
  EXPECT_EQ(split_mix(1234567 + 3 * kSplitMixStep), kKnown[2]);
}

TEST(SplitMix, FractionsAreBelowOne) {
  EXPECT_EQ(unit_interval(0), 0);
  EXPECT_EQ(unit_interval(std::uint64_t{1} << 63), .5);
  EXPECT_EQ(unit_interval(std::numeric_limits<std::uint64_t>::max()), 1 - 0x1p-53);
}

}  // namespace
}  // namespace pajamas
