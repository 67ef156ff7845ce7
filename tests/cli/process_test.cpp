#include "cli/process.h"

#include <gtest/gtest.h>

#include <array>
#include <csignal>

namespace pajamas::cli {
namespace {

// What it returns stays: the handlers are installed to the very end of the process, long after
// whoever installed them has returned.
const StopFlag* install_in_a_frame(int depth) {
  if (depth == 0) return &install_signal_handlers();
  std::array<volatile char, 512> frame{};
  const StopFlag* flag = install_in_a_frame(depth - 1);
  frame[0] = 1;
  return flag;
}

TEST(Process, TheFlagOfItsSignalsOutlivesWhoeverInstalledThem) {
  constexpr std::array kSignals{SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ};
  std::array<struct sigaction, kSignals.size()> before;
  for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], nullptr, &before[i]);
  const StopFlag* flag = install_in_a_frame(0);
  EXPECT_FALSE(flag->requested());
  EXPECT_EQ(install_in_a_frame(1), flag);  // one of a frame would lie elsewhere
  EXPECT_EQ(install_in_a_frame(5), flag);
  for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &before[i], nullptr);
}

}  // namespace
}  // namespace pajamas::cli
