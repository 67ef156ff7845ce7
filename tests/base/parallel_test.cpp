#include "base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <numeric>
#include <set>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/system.h"

namespace pajamas {
namespace {

using Pieces = std::set<std::pair<std::uint64_t, std::uint64_t>>;

Pieces pieces_of(const TaskPool& pool, std::uint64_t count, std::uint64_t grain) {
  Pieces pieces;
  std::mutex mutex;
  pool.for_ranges(count, grain, [&](std::uint64_t first, std::uint64_t last) {
    const std::lock_guard lock(mutex);
    EXPECT_TRUE(pieces.emplace(first, last).second);
  });
  return pieces;
}

TEST(TaskPool, PiecesDependOnTheGrainAlone) {
  const TaskPool one(1);
  const TaskPool four(4);
  EXPECT_EQ(one.threads(), 1);
  EXPECT_EQ(four.threads(), 4);
  for (const auto& [count, grain] : Pieces{{0, 3}, {1, 3}, {3, 3}, {10, 3}, {1000, 7}, {5, 100}}) {
    const Pieces pieces = pieces_of(one, count, grain);
    EXPECT_EQ(pieces, pieces_of(four, count, grain));
    std::uint64_t next = 0;
    for (const auto& [first, last] : pieces) {
      EXPECT_EQ(first, next);
      EXPECT_LE(last - first, grain);
      next = last;
    }
    EXPECT_EQ(next, count);
  }
  const Pieces huge = pieces_of(four, UINT64_MAX, UINT64_MAX - 1);
  EXPECT_EQ(huge, (Pieces{{0, UINT64_MAX - 1}, {UINT64_MAX - 1, UINT64_MAX}}));
}

TEST(TaskPool, ExceptionsReachTheCaller) {
  for (const int threads : {1, 4}) {
    const TaskPool pool(threads);
    try {
      pool.for_ranges(1000, 1, [](std::uint64_t first, std::uint64_t) {
        if (first == 500) throw Error(ErrorCode::kNoSpace, "full");
      });
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kNoSpace);
    }
    EXPECT_EQ(pieces_of(pool, 10, 1).size(), 10u);  // and it works on
  }
}

// A piece that waits for a loop of its own must not be given another outer piece on the same
// thread.
TEST(TaskPool, NestedLoopsDoNotEnterOtherPieces) {
  const TaskPool pool(4);
  thread_local int depth = 0;
  std::atomic<std::uint64_t> sum{0};
  std::atomic<bool> entered{false};
  pool.for_ranges(64, 1, [&](std::uint64_t outer, std::uint64_t) {
    if (depth++ != 0) entered = true;
    pool.for_ranges(16, 1, [&](std::uint64_t inner, std::uint64_t) {
      std::this_thread::sleep_for(std::chrono::microseconds(100));  // so that there is waiting
      sum += outer * 16 + inner;
    });
    --depth;
  });
  EXPECT_FALSE(entered);
  EXPECT_EQ(sum, 1024u * 1023 / 2);
}

TEST(TaskPool, RefusesImpossibleNumbers) {
  for (const int threads : {0, -1, TaskPool::kMaxThreads + 1}) {
    try {
      TaskPool pool(threads);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
      EXPECT_EQ(error.place(), "--threads");
    }
  }
}

TEST(StopFlag, ThrowsOnceRequested) {
  StopFlag flag;
  EXPECT_NO_THROW(flag.check());
  std::thread([&] { flag.request(); }).join();
  EXPECT_TRUE(flag.requested());
  EXPECT_THROW(flag.check(), Error);
  flag.clear();
  EXPECT_NO_THROW(flag.check());
}

TEST(System, FiguresAreSensible) {
  std::vector<char> block(64 << 20, 'x');
  char* volatile escaped = block.data();  // or the compiler drops what nobody reads
  escaped[0] = 'y';
  EXPECT_GE(anonymous_bytes(), 64u << 20);
  EXPECT_GE(peak_resident_bytes(), 64u << 20);
  EXPECT_LE(peak_resident_bytes(), memory_limit_bytes());
  EXPECT_GE(usable_cpus(), 1);
  EXPECT_GT(free_disk_bytes("/tmp/not/there/yet"), 0u);
  EXPECT_EQ(block[block.size() / 2], 'x');
}

}  // namespace
}  // namespace pajamas
