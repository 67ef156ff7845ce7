#include "base/machine.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "base/system.h"

namespace pajamas {
namespace {

namespace fs = std::filesystem;

TEST(Machine, ProcessorsAreThoseOfTheSystem) {
  const Processor cpu = processor();
  EXPECT_EQ(cpu.threads, ::sysconf(_SC_NPROCESSORS_CONF));
  EXPECT_LE(cpu.cores, cpu.threads);
}

TEST(Machine, AvailableMemoryIsPartOfAll) {
  EXPECT_LE(available_memory_bytes(), memory_limit_bytes());
  EXPECT_GT(available_memory_bytes(), 0u);
}

TEST(Machine, MemoryBandwidthIsPlausible) {
  const StopFlag stop;
  const double rate = memory_bandwidth(TaskPool(2), 64u << 20, 0.05, stop);
  EXPECT_GT(rate, 1e7);   // a machine slower than this, or faster
  EXPECT_LT(rate, 1e14);  // than this, is a mistake of ours
}

TEST(Machine, DiskMeasurementLeavesNothing) {
  const fs::path folder = fs::temp_directory_path() / ("disk-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  const StopFlag stop;
  const DiskRates rates = disk_rates(folder, 8u << 20, stop);
  EXPECT_GT(rates.write, 0);
  EXPECT_GT(rates.read, 0);
  EXPECT_TRUE(fs::is_empty(folder));
  StopFlag stopped;
  stopped.request();
  EXPECT_THROW(disk_rates(folder, 8u << 20, stopped), Error);
  EXPECT_THROW(memory_bandwidth(TaskPool(1), 4u << 20, 0.01, stopped), Error);
  EXPECT_TRUE(fs::is_empty(folder));
  fs::remove_all(folder);
  try {
    disk_rates(folder, 8u << 20, stop);
    FAIL() << "a folder that is not there";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  }
}

}  // namespace
}  // namespace pajamas
