#include "base/parallel.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"

namespace pajamas {
namespace {

// How long a thread looks for work before it sleeps: a model's layers follow each other within
// microseconds, and waking a thread takes tens of them.
constexpr auto kPatience = std::chrono::microseconds(100);

void relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Returns once `value` is no longer `old`.
void wait_while(const std::atomic<std::uint32_t>& value, std::uint32_t old) noexcept {
  const auto start = std::chrono::steady_clock::now();
  for (;;) {
    for (int i = 0; i < 64; ++i) {
      if (value.load(std::memory_order_acquire) != old) return;
      relax();
    }
    if (std::chrono::steady_clock::now() - start > kPatience) break;
  }
  value.wait(old, std::memory_order_acquire);
}

// Whether this thread is inside a piece of some pool: it must not wait for a pool then.
thread_local bool inside_piece = false;

}  // namespace

void StopFlag::check() const {
  if (requested()) throw Error(ErrorCode::kInterrupted, "stopped");
}

// Every thread has a span of neighbouring pieces, so that it walks through memory in order, and
// takes from the others' once its own is used up. A loop does not wait for threads that sleep: who
// comes too late finds it closed.
struct TaskPool::Impl {
  using Piece = FunctionRef<void(std::uint64_t)>;

  struct alignas(64) Span {
    std::atomic<std::uint64_t> next{0};
    std::uint64_t end = 0;
  };

  explicit Impl(int threads) : spans(static_cast<std::size_t>(threads)) {
    try {
      for (std::size_t t = 1; t < spans.size(); ++t) workers.emplace_back([this, t] { serve(t); });
    } catch (const std::system_error&) {
      stop();
      throw Error(ErrorCode::kOutOfMemory, fmt::format("cannot start {} threads", threads),
                  "use fewer --threads");
    }
  }
  ~Impl() { stop(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void stop() noexcept {
    quit.store(true, std::memory_order_relaxed);
    epoch.fetch_add(2, std::memory_order_release);
    epoch.notify_all();
    for (std::thread& worker : workers) worker.join();
    workers.clear();
  }

  void serve(std::size_t own) noexcept {
    std::uint32_t last = 0;
    for (;;) {
      const std::uint32_t now = epoch.load(std::memory_order_acquire);
      if (quit.load(std::memory_order_relaxed)) return;
      if (now % 2 == 0 || now == last) {
        wait_while(epoch, now);
        continue;
      }
      last = now;
      // In this order on both sides: either this thread sees that the loop is closed, or the one
      // that closed it sees that this thread is active.
      active.fetch_add(1, std::memory_order_seq_cst);
      if (epoch.load(std::memory_order_seq_cst) == now) work(own);
      if (active.fetch_sub(1, std::memory_order_seq_cst) == 1) active.notify_one();
    }
  }

  // One caller has the threads at a time. Inside a piece nobody waits for them: whoever does holds
  // a pool, this one or another, and that one's pieces may be waiting for what this one holds.
  bool take() noexcept {
    while (busy.exchange(true, std::memory_order_acquire)) {
      if (inside_piece) return false;
      busy.wait(true, std::memory_order_relaxed);
    }
    return true;
  }
  void give_back() noexcept {
    busy.store(false, std::memory_order_release);
    busy.notify_one();
  }

  // Of whoever took the threads.
  void run(const Piece& each, std::uint64_t pieces) {
    piece = &each;
    failed.store(false, std::memory_order_relaxed);
    const std::uint64_t count = spans.size();
    const std::uint64_t share = pieces / count, more = pieces % count;
    std::uint64_t first = 0;
    for (std::uint64_t t = 0; t < count; ++t) {
      spans[t].next.store(first, std::memory_order_relaxed);
      first += share + (t < more ? 1 : 0);
      spans[t].end = first;
    }
    epoch.fetch_add(1, std::memory_order_seq_cst);
    epoch.notify_all();
    work(0);
    epoch.fetch_add(1, std::memory_order_seq_cst);
    for (;;) {
      const std::uint32_t still = active.load(std::memory_order_seq_cst);
      if (still == 0) break;
      wait_while(active, still);
    }
    const std::exception_ptr thrown = std::exchange(failure, nullptr);
    give_back();
    if (thrown) std::rethrow_exception(thrown);
  }

  // Takes pieces, this thread's own first, until there are none.
  void work(std::size_t own) noexcept {
    const bool outer = std::exchange(inside_piece, true);
    for (std::size_t i = 0; i < spans.size(); ++i) {
      Span& span = spans[(own + i) % spans.size()];
      while (!failed.load(std::memory_order_relaxed)) {
        // What lies behind the end is never counted up far: nobody tries a span twice.
        if (span.next.load(std::memory_order_relaxed) >= span.end) break;
        const std::uint64_t next = span.next.fetch_add(1, std::memory_order_relaxed);
        if (next >= span.end) break;
        try {
          (*piece)(next);
        } catch (...) {
          const std::lock_guard lock(failure_mutex);
          if (!failure) failure = std::current_exception();
          failed.store(true, std::memory_order_relaxed);
        }
      }
    }
    inside_piece = outer;
  }

  std::vector<Span> spans;  // one a thread; the caller's is the first
  std::vector<std::thread> workers;
  std::atomic<bool> busy{false};  // a caller has the threads
  const Piece* piece = nullptr;
  alignas(64) std::atomic<std::uint32_t> epoch{0};   // odd while a loop is open
  alignas(64) std::atomic<std::uint32_t> active{0};  // workers inside the loop
  std::atomic<bool> quit{false};
  std::atomic<bool> failed{false};
  std::mutex failure_mutex;
  std::exception_ptr failure;
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

int TaskPool::threads() const noexcept { return static_cast<int>(impl_->spans.size()); }

void TaskPool::for_ranges(std::uint64_t count, std::uint64_t grain,
                          FunctionRef<void(std::uint64_t, std::uint64_t)> fn) const {
  PJ_CHECK(grain > 0);
  if (count == 0) return;
  const std::uint64_t pieces = count / grain + (count % grain != 0 ? 1 : 0);
  const auto piece = [&](std::uint64_t i) {
    const std::uint64_t first = i * grain;
    fn(first, first + std::min(grain, count - first));
  };
  if (pieces == 1 || threads() == 1 || !impl_->take()) {
    for (std::uint64_t i = 0; i < pieces; ++i) piece(i);
    return;
  }
  impl_->run(piece, pieces);
}

}  // namespace pajamas
