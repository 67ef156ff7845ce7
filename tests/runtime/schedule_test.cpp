// Several sequences in one batch: each answers as it does alone, whatever happens to the others.
#include "runtime/schedule.h"

#include <gtest/gtest.h>

#include <limits>
#include <new>
#include <set>

#include "base/error.h"
#include "effort.h"
#include "paths.h"
#include "runtime/probe_engine.h"
#include "runtime/tiny_engine.h"

namespace pajamas::runtime {
namespace {

using Ids = std::vector<std::int32_t>;

struct Model {
  explicit Model(const std::string& name = "tiny-qwen2")
      : pool(2),
        engine(std::make_unique<CpuDevice>(
            std::make_unique<weights::MappedWeights>(
                model::Checkpoint::open(source_dir() + "/models/" + name)),
            pool, kernels::best_kernels())),
        probe(engine) {}

  TaskPool pool;
  NativeEngine engine;
  ProbeEngine probe;
};

// Prompts of 3, 40, 77, ... tokens; one samples greedily, the others by seeds of their own.
SequenceRequest request(int number) {
  Ids prompt;
  for (int i = 0; i < 3 + 37 * number; ++i) prompt.push_back((i * 31 + number * 7) % 500);
  const SamplerOptions sampling{.temperature = number == 0 ? 0 : 1.5,
                                .seed = static_cast<std::uint64_t>(number)};
  return {std::move(prompt), Sampler(sampling), {20, 400, {}}};
}

Ids ids(std::span<const std::int32_t> span) { return {span.begin(), span.end()}; }

Ids alone(Engine& engine, int number) {
  Scheduler scheduler(engine);
  const SequenceId id = scheduler.add(request(number));
  while (scheduler.step(StopFlag{})) continue;
  scheduler.at(id).check();
  return ids(scheduler.at(id).tokens());
}

std::vector<Ids> each_alone(Engine& engine, int count) {
  std::vector<Ids> all;
  for (int i = 0; i < count; ++i) all.push_back(alone(engine, i));
  return all;
}

TEST(Scheduler, TogetherAsAlone) {
  for (const char* name : {"tiny-qwen2", "tiny-qwen3-moe", "tiny-gpt-oss"}) {
    Model model(name);
    const std::vector<Ids> expected = each_alone(model.engine, 5);
    const std::vector<std::size_t> some{7}, all{512, 64, 7};
    for (const std::size_t most : thorough() ? all : some) {
      model.probe.most = most;
      Scheduler scheduler(model.probe);
      std::vector<SequenceId> added;
      std::size_t shared = 0;
      // One comes after the other, so that some answer while others still read.
      for (int step = 0; step < 5 || scheduler.step(StopFlag{}); ++step) {
        if (step < 5) {
          added.push_back(scheduler.add(request(step)));
          scheduler.step(StopFlag{});
        }
        std::set<SessionId> sessions;
        for (const BatchRow& row : model.probe.last) sessions.insert(row.session);
        if (sessions.size() > 1) ++shared;
      }
      EXPECT_GT(shared, 15u) << most;
      for (std::size_t i = 0; i < 5; ++i) {
        EXPECT_EQ(ids(scheduler.at(added[i]).tokens()), expected[i]) << name << " " << most;
        EXPECT_EQ(scheduler.at(added[i]).reason(), StopReason::kMaxTokens);
      }
    }
  }
}

TEST(Scheduler, NextTokensComeBeforePiecesOfPrompts) {
  Model model;
  model.probe.most = 8;
  Scheduler scheduler(model.probe);
  scheduler.add(request(0));
  scheduler.step(StopFlag{});
  const SequenceId second = scheduler.add(request(1));
  scheduler.add(request(2));
  scheduler.step(StopFlag{});
  ASSERT_EQ(model.probe.last.size(), 8u);
  EXPECT_EQ(model.probe.last[0].position, 3u);
  EXPECT_TRUE(model.probe.last[0].want_logits);
  for (std::size_t i = 1; i < 8; ++i) {
    EXPECT_EQ(model.probe.last[i].position, i - 1);
    EXPECT_EQ(model.probe.last[i].session, model.probe.last[1].session);
    EXPECT_FALSE(model.probe.last[i].want_logits);
  }
  EXPECT_EQ(scheduler.at(second).prompt_left(), 33u);
}

TEST(Scheduler, NobodyWaitsForEverBehindMoreThanFit) {
  Model model;
  Scheduler scheduler(model.probe);
  std::vector<SequenceId> added;
  for (int i = 0; i < 5; ++i) added.push_back(scheduler.add(request(0)));
  scheduler.step(StopFlag{});
  model.probe.most = 2;
  for (int i = 0; i < 10; ++i) scheduler.step(StopFlag{});
  for (const SequenceId id : added) {
    EXPECT_EQ(scheduler.at(id).take_news().size(), 1u + 2 * 10 / 5);
  }
}

TEST(Scheduler, CancellingOneDoesNotTouchTheOthers) {
  Model model;
  const std::vector<Ids> expected = each_alone(model.engine, 3);
  for (const bool in_a_batch : {false, true}) {
    Scheduler scheduler(model.probe);
    std::vector<SequenceId> added;
    for (int i = 0; i < 3; ++i) added.push_back(scheduler.add(request(i)));
    for (int i = 0; i < 7; ++i) scheduler.step(StopFlag{});
    Sequence& cancelled = scheduler.at(added[1]);
    if (in_a_batch) {
      model.probe.before_layer = [&](std::uint64_t, Batch) { cancelled.cancel(); };
      scheduler.step(StopFlag{});
      model.probe.before_layer = nullptr;
    } else {
      cancelled.cancel();
    }
    const std::size_t length = cancelled.tokens().size();
    const std::size_t others = 2;
    while (scheduler.step(StopFlag{})) EXPECT_EQ(model.probe.last.size(), others);
    EXPECT_EQ(cancelled.reason(), StopReason::kInterrupted);
    EXPECT_EQ(cancelled.tokens().size(), length);
    EXPECT_TRUE(
        std::equal(cancelled.tokens().begin(), cancelled.tokens().end(), expected[1].begin()));
    EXPECT_EQ(ids(scheduler.at(added[0]).tokens()), expected[0]);
    EXPECT_EQ(ids(scheduler.at(added[2]).tokens()), expected[2]);
  }
}

TEST(Scheduler, OneMayBeRemovedWhileOthersRun) {
  Model model;
  const std::vector<Ids> expected = each_alone(model.engine, 3);
  Scheduler scheduler(model.probe);
  std::vector<SequenceId> added;
  for (int i = 0; i < 3; ++i) added.push_back(scheduler.add(request(i)));
  for (int i = 0; i < 4; ++i) scheduler.step(StopFlag{});
  scheduler.remove(added[0]);
  EXPECT_EQ(model.probe.sessions, 2);
  while (scheduler.step(StopFlag{})) continue;
  EXPECT_EQ(ids(scheduler.at(added[1]).tokens()), expected[1]);
  EXPECT_EQ(ids(scheduler.at(added[2]).tokens()), expected[2]);
}

// As where no memory is left for the keys and values of one of them.
TEST(Scheduler, ABatchThatFailsIsTheFaultOfOne) {
  Model model;
  const std::vector<Ids> expected = each_alone(model.engine, 3);
  for (const int fail_at : {0, 1, 9}) {
    Scheduler scheduler(model.probe);
    std::vector<SequenceId> added;
    for (int i = 0; i < 3; ++i) added.push_back(scheduler.add(request(i)));
    for (int i = 0; i < fail_at; ++i) scheduler.step(StopFlag{});
    // The one of the longest prompt.
    SessionId broken = 0;
    std::uint32_t longest = 0;
    model.probe.before_layer = [&](std::uint64_t layer, Batch batch) {
      if (layer != 1) return;
      for (const BatchRow& row : batch) {
        if (longest < 60 && row.position >= 60) broken = row.session, longest = row.position;
      }
      for (const BatchRow& row : batch) {
        if (longest >= 60 && row.session == broken) throw std::bad_alloc();
      }
    };
    while (scheduler.step(StopFlag{})) continue;
    model.probe.before_layer = nullptr;
    EXPECT_THROW(scheduler.at(added[2]).check(), std::bad_alloc);
    EXPECT_FALSE(scheduler.at(added[2]).reason());
    for (const std::size_t i : {0, 1}) {
      scheduler.at(added[i]).check();
      EXPECT_EQ(ids(scheduler.at(added[i]).tokens()), expected[i]) << fail_at;
    }
  }
}

// As where the weights make a number of one of them infinite.
TEST(Scheduler, LogitsThatAreNoNumbersAreTheFaultOfOne) {
  Model model;
  const std::vector<Ids> expected = each_alone(model.engine, 3);
  Scheduler scheduler(model.probe);
  std::vector<SequenceId> added;
  for (int i = 0; i < 3; ++i) added.push_back(scheduler.add(request(i)));
  for (int i = 0; i < 5; ++i) scheduler.step(StopFlag{});
  const std::size_t vocab = model.engine.config().vocab;
  model.probe.after_logits = [&](std::span<const std::size_t> rows, std::span<float> logits) {
    ASSERT_EQ(rows.size(), 3u);
    std::fill_n(logits.begin() + static_cast<std::ptrdiff_t>(vocab), vocab,
                std::numeric_limits<float>::quiet_NaN());
  };
  scheduler.step(StopFlag{});
  model.probe.after_logits = nullptr;
  while (scheduler.step(StopFlag{})) EXPECT_EQ(model.probe.last.size(), 2u);
  int failed = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    if (!scheduler.at(added[i]).reason()) {
      ++failed;
      EXPECT_THROW(scheduler.at(added[i]).check(), Error);
    } else {
      EXPECT_EQ(ids(scheduler.at(added[i]).tokens()), expected[i]);
    }
  }
  EXPECT_EQ(failed, 1);
}

TEST(Scheduler, GoesOnWhereItWasStopped) {
  Model model;
  const std::vector<Ids> expected = each_alone(model.engine, 3);
  for (const int stop_at : {0, 1, 2, 8}) {
    Scheduler scheduler(model.probe);
    std::vector<SequenceId> added;
    for (int i = 0; i < 3; ++i) added.push_back(scheduler.add(request(i)));
    for (int i = 0; i < stop_at; ++i) scheduler.step(StopFlag{});
    StopFlag stop;
    model.probe.before_layer = [&](std::uint64_t layer, Batch) {
      if (layer == 0) stop.request();
    };
    EXPECT_THROW(scheduler.step(stop), Error);
    model.probe.before_layer = nullptr;
    while (scheduler.step(StopFlag{})) continue;
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(ids(scheduler.at(added[i]).tokens()), expected[i]) << stop_at;
    }
  }
}

TEST(Scheduler, ASessionOfTheCallersIsReadFromWhereItEnds) {
  Model model;
  const Ids expected = alone(model.engine, 2);
  const SequenceRequest base = request(2);
  const SessionId prefix = model.probe.create_session();
  std::vector<BatchRow> batch;
  for (std::uint32_t i = 0; i < 50; ++i) batch.push_back({prefix, i, base.prompt[i], false});
  forward(model.probe, batch, {}, StopFlag{});
  const std::uint64_t before = model.probe.rows;
  // Two forks of one beginning.
  std::vector<SessionId> forks{model.probe.fork(prefix), model.probe.fork(prefix)};
  {
    Scheduler scheduler(model.probe);
    std::vector<SequenceId> added;
    for (const SessionId fork : forks) {
      SequenceRequest one = request(2);
      one.session = fork;
      added.push_back(scheduler.add(std::move(one)));
    }
    while (scheduler.step(StopFlag{})) continue;
    for (const SequenceId id : added) EXPECT_EQ(ids(scheduler.at(id).tokens()), expected);
  }
  EXPECT_EQ(model.probe.rows - before, 2 * (expected.size() - 50 - 1));
  EXPECT_EQ(model.probe.sessions, 3);  // they stay the caller's
}

TEST(Scheduler, LeavesNoSessionBehindAndRefusesStrangeTokens) {
  Model model;
  {
    Scheduler scheduler(model.probe);
    for (int i = 0; i < 3; ++i) scheduler.add(request(i));
    scheduler.step(StopFlag{});
    SequenceRequest strange = request(0);
    strange.prompt.push_back(static_cast<std::int32_t>(model.engine.config().vocab));
    EXPECT_THROW(scheduler.add(std::move(strange)), Error);
    SequenceRequest empty = request(0);
    empty.prompt.clear();
    EXPECT_THROW(scheduler.add(std::move(empty)), Error);
    EXPECT_EQ(model.probe.sessions, 3);
  }
  EXPECT_EQ(model.probe.sessions, 0);
}

}  // namespace
}  // namespace pajamas::runtime
