#include "base/parallel.h"

#include <fmt/format.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>

#include "base/error.h"

namespace pajamas {

void StopFlag::check() const {
  if (requested()) throw Error(ErrorCode::kInterrupted, "stopped");
}

struct TaskPool::Impl {
  explicit Impl(int threads)
      : ceiling(tbb::global_control::max_allowed_parallelism, std::size_t{kMaxThreads}),
        arena(threads) {}

  // TBB's own ceiling is the number of processors, and the lowest of all controls counts: the arena
  // is what limits each pool.
  tbb::global_control ceiling;
  tbb::task_arena arena;
};

TaskPool::TaskPool(int threads) {
  if (threads < 1 || threads > kMaxThreads) {
    throw Error(ErrorCode::kUsage, fmt::format("{} threads", threads),
                fmt::format("give a number from 1 to {}", kMaxThreads))
        .at("--threads");
  }
  impl_ = std::make_unique<Impl>(threads);
}

TaskPool::TaskPool(TaskPool&&) noexcept = default;
TaskPool& TaskPool::operator=(TaskPool&&) noexcept = default;
TaskPool::~TaskPool() = default;

int TaskPool::threads() const noexcept { return impl_->arena.max_concurrency(); }

void TaskPool::for_ranges(std::uint64_t count, std::uint64_t grain,
                          const std::function<void(std::uint64_t, std::uint64_t)>& fn) const {
  PJ_CHECK(grain > 0);
  if (count == 0) return;
  const std::uint64_t pieces = count / grain + (count % grain != 0 ? 1 : 0);
  const auto piece = [&](std::uint64_t i) {
    const std::uint64_t first = i * grain;
    fn(first, first + std::min(grain, count - first));
  };
  if (pieces == 1 || threads() == 1) {
    for (std::uint64_t i = 0; i < pieces; ++i) piece(i);
    return;
  }
  // Isolated: a thread that waits for a loop within a piece must not take up another outer piece,
  // which would meet the first one's half-used scratch memory.
  // oneTBB orders the caller's work before the pieces and them before its return; the two atomics
  // say so once more where a thread sanitizer, which cannot see into that library, can read it.
  std::atomic<std::uint64_t> begun{0};
  std::atomic<std::uint64_t> ended{0};
  begun.store(1, std::memory_order_release);
  const auto ordered_piece = [&](std::uint64_t i) {
    (void)begun.load(std::memory_order_acquire);
    piece(i);
    ended.fetch_add(1, std::memory_order_acq_rel);
  };
  impl_->arena.execute([&] {
    tbb::this_task_arena::isolate([&] {
      tbb::parallel_for(std::uint64_t{0}, pieces, ordered_piece, tbb::simple_partitioner());
    });
  });
  (void)ended.load(std::memory_order_acquire);
}

}  // namespace pajamas
