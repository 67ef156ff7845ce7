#include "base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
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

// Waits until `count` threads are here at once; false where they do not come.
class Meeting {
 public:
  explicit Meeting(int count) : missing_(count) {}
  bool join() {
    std::unique_lock lock(mutex_);
    if (--missing_ == 0) complete_.notify_all();
    return complete_.wait_for(lock, std::chrono::seconds(20), [&] { return missing_ <= 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable complete_;
  int missing_;
};

// A loop inside a piece of another pool has its own pool's threads.
TEST(TaskPool, LoopsInsidePiecesOfAnotherPoolRunInParallel) {
  const TaskPool outer(2), inner(3);
  outer.for_ranges(2, 1, [&](std::uint64_t first, std::uint64_t) {
    if (first != 0) return;
    Meeting together(3);
    inner.for_ranges(3, 1, [&](std::uint64_t, std::uint64_t) { EXPECT_TRUE(together.join()); });
    // Afterwards the thread is still inside its own pool's piece.
    const auto self = std::this_thread::get_id();
    outer.for_ranges(
        8, 1, [&](std::uint64_t, std::uint64_t) { EXPECT_EQ(std::this_thread::get_id(), self); });
  });
}

// Two callers: the loops follow each other, and each has all of its pieces.
TEST(TaskPool, LoopsOfTwoCallersDoNotMix) {
  const TaskPool pool(3);
  std::atomic<int> inside{0};  // +1 a piece of one caller, +1000 a piece of the other
  std::atomic<bool> mixed{false};
  std::atomic<std::uint64_t> sums[2] = {};
  const auto call = [&](int who) {
    for (int loop = 0; loop < 50; ++loop) {
      pool.for_ranges(40, 1, [&](std::uint64_t first, std::uint64_t) {
        const int now = inside += who == 0 ? 1 : 1000;
        if (now % 1000 != 0 && now >= 1000) mixed = true;
        sums[who] += first;
        if (first % 8 == 0) std::this_thread::yield();
        inside -= who == 0 ? 1 : 1000;
      });
    }
  };
  std::thread other(call, 1);
  call(0);
  other.join();
  EXPECT_FALSE(mixed);
  EXPECT_EQ(sums[0], 50u * 780);
  EXPECT_EQ(sums[1], 50u * 780);
}

// Each holds one pool and wants the other's threads: neither waits for them.
TEST(TaskPool, PoolsThatUseEachOtherDoNotLock) {
  const TaskPool a(2), b(2);
  std::atomic<std::uint64_t> done{0};
  const auto call = [&](const TaskPool& outer, const TaskPool& inner) {
    for (int loop = 0; loop < 200; ++loop) {
      outer.for_ranges(4, 1, [&](std::uint64_t, std::uint64_t) {
        inner.for_ranges(4, 1, [&](std::uint64_t, std::uint64_t) {
          outer.for_ranges(2, 1, [&](std::uint64_t, std::uint64_t) { ++done; });
        });
      });
    }
  };
  std::thread other([&] { call(b, a); });
  call(a, b);
  other.join();
  EXPECT_EQ(done, 2u * 200 * 4 * 4 * 2);
}

// A failed loop gives the threads back, from inside another pool's piece too.
TEST(TaskPool, AFailureInsideAnotherPoolReachesTheOuterCaller) {
  const TaskPool outer(2), inner(2);
  const auto fail = [&] {
    outer.for_ranges(2, 1, [&](std::uint64_t, std::uint64_t) {
      inner.for_ranges(
          2, 1, [](std::uint64_t, std::uint64_t) { throw Error(ErrorCode::kNoSpace, "full"); });
    });
  };
  EXPECT_THROW(fail(), Error);
  Meeting together(2);
  inner.for_ranges(2, 1, [&](std::uint64_t, std::uint64_t) { EXPECT_TRUE(together.join()); });
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
