#include "base/readable.h"

#include <gtest/gtest.h>

#include <limits>

namespace pajamas {
namespace {

TEST(Readable, RatesHaveThreeFigures) {
  const struct {
    double rate;
    const char* text;
  } kCases[] = {{6.518, "6.52"},   {43.08, "43.1"},  {99.96, "100"},    {9.996, "10.0"},
                {431.4, "431"},    {999.6, "1,000"}, {4302.1, "4,300"}, {71'654, "71,700"},
                {0.5123, "0.512"}, {0.04, "0.0400"}, {0, "0"},          {1, "1.00"}};
  for (const auto& each : kCases) EXPECT_EQ(readable_rate(each.rate), each.text) << each.rate;
  EXPECT_EQ(readable_rate(std::numeric_limits<double>::infinity()), "unknown");
}

TEST(Readable, RatesOfBytes) {
  EXPECT_EQ(readable_byte_rate(34.12e9), "34.1 GB/s");
  EXPECT_EQ(readable_byte_rate(1.204e9), "1.20 GB/s");
  EXPECT_EQ(readable_byte_rate(999.7e6), "1.00 GB/s");
  EXPECT_EQ(readable_byte_rate(712.4e6), "712 MB/s");
  EXPECT_EQ(readable_byte_rate(7124), "7.12 kB/s");
  EXPECT_EQ(readable_byte_rate(12), "12.0 B/s");
}

}  // namespace
}  // namespace pajamas
