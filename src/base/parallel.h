// Work on several threads, and the user's wish to stop.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/function_ref.h"

namespace pajamas {

// Set once, from anywhere (a signal handler too); long work looks at it between steps.
class StopFlag {
 public:
  void request() noexcept { stop_.store(true, std::memory_order_relaxed); }
  void clear() noexcept { stop_.store(false, std::memory_order_relaxed); }
  bool requested() const noexcept { return stop_.load(std::memory_order_relaxed); }
  // Throws Error{kInterrupted} once requested.
  void check() const;

 private:
  std::atomic<bool> stop_{false};
};

// A fixed number of threads that share loops. Owns them; move-only. Any thread may begin a loop,
// and one loop runs at a time: callers wait for each other's, so that whoever serves many requests
// lets one thread compute for all of them. A loop that is begun inside a piece of another pool has
// this pool's threads too, unless they are busy; then, and inside a piece of the same pool, it
// stays on its thread. So nested loops never wait for each other, whichever pools they are of.
class TaskPool {
 public:
  // Throws Error{kUsage} for fewer than 1 or more than kMaxThreads.
  explicit TaskPool(int threads);
  TaskPool(TaskPool&&) noexcept;
  TaskPool& operator=(TaskPool&&) noexcept;
  ~TaskPool();

  static constexpr int kMaxThreads = 1024;
  int threads() const noexcept;

  // Calls fn(first, last) over pieces of [0, count) of `grain` items (the last may be shorter).
  // The pieces depend on `grain` alone, never on the number of threads, so that work which sums
  // within a piece gives the same result everywhere. The first exception reaches the caller. Takes
  // no memory.
  void for_ranges(std::uint64_t count, std::uint64_t grain,
                  FunctionRef<void(std::uint64_t, std::uint64_t)> fn) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pajamas
