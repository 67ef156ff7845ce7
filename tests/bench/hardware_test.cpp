#include "bench/hardware.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace pajamas::bench {
namespace {

// As the issue that asked for them has them, in GB/s of powers of ten.
TEST(Hardware, AsPublishedWithItsSource) {
  const std::map<std::string_view, double> published{
      {"RTX 3060", 360}, {"RTX 4070", 504}, {"RTX 4090", 1008}, {"M2 Pro", 200},
      {"M3 Max", 400},   {"M3 Ultra", 819}, {"H100 SXM", 3350}};
  ASSERT_EQ(known_hardware().size(), published.size());
  for (const Hardware& hardware : known_hardware()) {
    ASSERT_TRUE(published.contains(hardware.name)) << hardware.name;
    EXPECT_DOUBLE_EQ(hardware.bytes_per_second, published.at(hardware.name) * 1e9);
    EXPECT_TRUE(hardware.source.starts_with("https://")) << hardware.name;
    EXPECT_GE(hardware.memory_bytes, 12ull << 30);
  }
}

}  // namespace
}  // namespace pajamas::bench
