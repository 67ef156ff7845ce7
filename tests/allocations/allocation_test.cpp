// What takes memory: every operator new of this program is counted.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "runtime/model_engine.h"
#include "runtime/schedule.h"

namespace {

std::atomic<std::uint64_t> taken{0};

void* counted_or_null(std::size_t bytes, std::size_t alignment) noexcept {
  taken.fetch_add(1, std::memory_order_relaxed);
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

void* counted(std::size_t bytes, std::size_t alignment) {
  void* const memory = counted_or_null(bytes, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// The other forms call these, but the one for std::nothrow under a sanitizer. Not inlined: g++
// would see free() meet what operator new returned.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  return counted(std::max<std::size_t>(bytes, 1), 16);
}
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return counted_or_null(std::max<std::size_t>(bytes, 1), 16);
}
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(std::max<std::size_t>(bytes, 1), static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace pajamas::runtime {
namespace {

template <class Step>
std::uint64_t allocations(Step&& step) {
  const std::uint64_t before = taken.load();
  step();
  return taken.load() - before;
}

// Whether a step that repeats comes to take nothing. A thread's own scratch comes with the first
// piece of work that it happens to take, so how many steps that needs is chance; a step that takes
// memory every time never gets there.
template <class Step>
bool settles(Step&& step) {
  int quiet = 0;
  for (int i = 0; i < 200 && quiet < 20; ++i) quiet = allocations(step) == 0 ? quiet + 1 : 0;
  return quiet == 20;
}

TEST(Counting, SeesWhatIsTaken) {
  EXPECT_EQ(allocations([] {}), 0u);
  EXPECT_GE(allocations([] {
              std::vector<int> some(100, 1);
              EXPECT_EQ(some[99], 1);
            }),
            1u);
  EXPECT_FALSE(settles([] {
    std::vector<int> some(100, 1);
    EXPECT_EQ(some[99], 1);
  }));
}

struct Case {
  const char* model;
  Activations activations;
  KvType kv_type;
};
class StepsThatRepeat : public testing::TestWithParam<Case> {
 protected:
  StepsThatRepeat() : model_(GetParam().model, GetParam().activations, GetParam().kv_type) {}

  // `count` rows behind position `first`, which are forgotten again.
  void expect_quiet(std::uint32_t first, std::uint32_t count) {
    Engine& engine = model_.engine;
    const std::size_t vocab = engine.config().vocab;
    const SessionId session = engine.create_session();
    for (std::uint32_t at = 0; at < first; at += 500) {
      forward(engine, quiet(rows_of_text(session, 1, vocab, at, std::min(500u, first - at))), {},
              StopFlag{});
    }
    std::vector<BatchRow> rows = quiet(rows_of_text(session, 2, vocab, first, count));
    rows.back().want_logits = true;
    std::vector<float> logits(vocab);
    EXPECT_TRUE(settles([&] {
      forward(engine, rows, logits, StopFlag{});
      engine.truncate(session, first);
    })) << count
        << " rows at " << first;
    engine.release(session);
  }

  ModelEngine model_;

 private:
  static std::vector<BatchRow> quiet(std::vector<BatchRow> rows) {
    for (BatchRow& row : rows) row.want_logits = false;
    return rows;
  }
};
INSTANTIATE_TEST_SUITE_P(Models, StepsThatRepeat,
                         testing::Values(Case{"tiny-qwen2", Activations::kInt8, KvType::kF16},
                                         Case{"tiny-qwen2", Activations::kFloat, KvType::kF32},
                                         Case{"tiny-qwen3-moe", Activations::kFloat, KvType::kQ8_0},
                                         Case{"tiny-gpt-oss", Activations::kFloat, KvType::kF16}),
                         [](const auto& test) {
                           std::string name = test.param.model;
                           std::ranges::replace(name, '-', '_');
                           return name +
                                  (test.param.activations == Activations::kInt8 ? "_int8" : "");
                         });

// Keys and values of new positions are what remains, so these stay within one block of the cache.
TEST_P(StepsThatRepeat, TakeNoMemory) {
  expect_quiet(40, 1);
  expect_quiet(3, 100);
  expect_quiet(1100, 1);  // attention is spread over the threads
}

TEST(SchedulerSteps, TakeNoMemory) {
  TaskPool pool(1);
  NativeEngine engine(
      std::make_unique<CpuDevice>(ModelEngine("tiny-qwen2").store, pool, kernels::best_kernels()),
      KvType::kF16);
  Scheduler scheduler(engine);
  SamplerOptions sampling;
  sampling.repeat_penalty = 1.1;
  sampling.seed = 3;
  // Capacities double: that of the tokens, 30 at first, is at 60 and then at 120.
  std::vector<std::int32_t> prompt(30, 5);
  const SequenceId id = scheduler.add(
      {.prompt = std::move(prompt), .sampler = Sampler(sampling), .limits = {1000, 1000, {}}});
  while (scheduler.at(id).tokens().size() < 80) ASSERT_TRUE(scheduler.step(StopFlag{}));
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(allocations([&] { scheduler.step(StopFlag{}); }), 0u) << i;
  }
}

}  // namespace
}  // namespace pajamas::runtime
