// A scheduler over an engine that chooses: batches begin before their tokens are known, and nobody
// can tell by what comes out, nor by the sessions that are left.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "runtime/generate.h"
#include "runtime/mlx/backend.h"
#include "runtime/model_engine.h"
#include "runtime/native/kv_cache.h"
#include "runtime/probe_engine.h"
#include "runtime/schedule.h"

namespace pajamas::runtime {
namespace {

using Ids = std::vector<std::int32_t>;
constexpr std::size_t kTexts = 4;

// The engine on the processor, which chooses by the definition; or the one of MLX, which does so
// itself.
struct AheadModel {
  explicit AheadModel(const std::string& name, bool on_mlx = false) : cpu(name) {
    EngineOptions options;
    options.context = 512;
    if (on_mlx) mlx = mlx_backend().open_store(cpu.store, options);
    probe.emplace(mlx == nullptr ? cpu.engine : *mlx);
    probe->choosing = true;
  }
  ModelEngine cpu;
  std::unique_ptr<Engine> mlx;
  std::optional<ProbeEngine> probe;
};

struct AheadCase {
  const char* name;
  const char* model;
  bool on_mlx;
};

class Ahead : public testing::TestWithParam<AheadCase> {
 protected:
  void SetUp() override {
    if (GetParam().on_mlx && !mlx_backend().available()) {
      GTEST_SKIP() << mlx_backend().description();
    }
    model.emplace(GetParam().model, GetParam().on_mlx);
  }
  ProbeEngine& probe() { return *model->probe; }
  std::optional<AheadModel> model;
};
std::string name_of(const testing::TestParamInfo<AheadCase>& test) { return test.param.name; }
INSTANTIATE_TEST_SUITE_P(Engines, Ahead,
                         testing::Values(AheadCase{"cpu_dense", "tiny-qwen2", false},
                                         AheadCase{"cpu_windows", "tiny-gpt-oss", false},
                                         AheadCase{"mlx_dense", "tiny-qwen2", true},
                                         AheadCase{"mlx_experts", "tiny-qwen3-moe", true},
                                         AheadCase{"mlx_windows", "tiny-gpt-oss", true}),
                         name_of);
// What costs more, on the one with windows.
class AheadOfMuch : public Ahead {};
INSTANTIATE_TEST_SUITE_P(Engines, AheadOfMuch,
                         testing::Values(AheadCase{"cpu_windows", "tiny-gpt-oss", false},
                                         AheadCase{"mlx_windows", "tiny-gpt-oss", true}),
                         name_of);

// Prompts of 3, 60, 117 and 174 tokens, with rules that have nothing in common.
SequenceRequest question(std::size_t number, Ids stop_tokens = {}, std::uint64_t most = 24) {
  const SamplerOptions sampling[kTexts] = {
      {.temperature = 0},
      {.temperature = 1.5, .seed = 1},
      {.temperature = .7, .top_k = 0, .top_p = .9, .min_p = 0, .seed = 2},
      {.temperature = 3, .top_k = 5, .top_p = 1, .min_p = 0, .seed = 3}};
  Ids prompt;
  for (std::size_t i = 0; i < 3 + 57 * number; ++i)
    prompt.push_back(static_cast<std::int32_t>((i * 31 + number * 7) % 500));
  return {std::move(prompt), Sampler(sampling[number]), {most, 300, std::move(stop_tokens)}};
}

Ids copy_of(std::span<const std::int32_t> ids) { return {ids.begin(), ids.end()}; }

// Each by itself, token by token.
std::vector<Ids> one_by_one(ProbeEngine& probe) {
  const bool choosing = std::exchange(probe.choosing, false);
  std::vector<Ids> out;
  for (std::size_t i = 0; i < kTexts; ++i) {
    Scheduler scheduler(probe);
    const SequenceId id = scheduler.add(question(i));
    while (scheduler.step(StopFlag{})) continue;
    out.push_back(copy_of(scheduler.at(id).tokens()));
  }
  probe.choosing = choosing;
  return out;
}

// Sessions of the caller's, which are looked at afterwards.
struct Texts {
  explicit Texts(ProbeEngine& engine) : probe(engine) {}
  ~Texts() {
    for (const SessionId session : sessions) probe.release(session);
  }
  SequenceId add(Scheduler& scheduler, SequenceRequest request) {
    sessions.push_back(probe.create_session());
    request.session = sessions.back();
    ids.push_back(scheduler.add(std::move(request)));
    return ids.back();
  }
  ProbeEngine& probe;
  std::vector<SessionId> sessions;
  std::vector<SequenceId> ids;
};

// Logits of a token behind the first `length` ones of a text: by its session, or by a new one that
// sees all of them at once.
std::vector<float> logits_behind(ProbeEngine& probe, SessionId session, std::uint32_t length) {
  std::vector<float> out(probe.config().vocab);
  forward(probe, std::vector<BatchRow>{{session, length, 17, true}}, out, StopFlag{});
  return out;
}

void expect_session(ProbeEngine& probe, SessionId session, std::span<const std::int32_t> tokens,
                    std::size_t ran) {
  const auto length = static_cast<std::uint32_t>(ran);
  ASSERT_EQ(probe.length(session), length);
  const SessionId other = probe.create_session();
  std::vector<BatchRow> rows;
  for (std::uint32_t i = 0; i < length; ++i) rows.push_back({other, i, tokens[i], false});
  forward(probe, rows, {}, StopFlag{});
  const std::vector<float> expected = logits_behind(probe, other, length);
  const std::vector<float> got = logits_behind(probe, session, length);
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], expected[i], 2e-4f * (1 + std::abs(expected[i]))) << i;
  }
  probe.release(other);
}

bool begins(std::span<const std::int32_t> tokens, const Ids& whole) {
  return tokens.size() <= whole.size() && std::equal(tokens.begin(), tokens.end(), whole.begin());
}

// One comes after the other, so that prompts come while others are a token ahead; two meet a stop
// token, in the middle and where a block of positions ends.
TEST_P(Ahead, AnswersAsOneByOneAndLeavesTheSameSessions) {
  const std::vector<Ids> expected = one_by_one(probe());
  struct Stop {
    Ids tokens;
    std::size_t length;
  };
  // A token from there on that is not in the answer before.
  const auto stop_at = [&](std::size_t text, std::size_t length) {
    const Ids& all = expected[text];
    const auto answer = all.begin() + static_cast<std::ptrdiff_t>(question(text).prompt.size());
    const auto is_new = [&](std::size_t at) {
      const auto place = all.begin() + static_cast<std::ptrdiff_t>(at);
      return std::find(answer, place, *place) == place;
    };
    while (length + 1 < all.size() && !is_new(length)) ++length;
    EXPECT_TRUE(is_new(length)) << text;
    return Stop{{all[length]}, length};
  };
  const std::map<std::size_t, Stop> stops{{1, stop_at(1, 60 + 7)}, {2, stop_at(2, 128)}};
  const auto run = [&](bool choosing) {
    probe().choosing = choosing;
    Texts texts(probe());
    const std::uint64_t before = probe().rows;
    {
      Scheduler scheduler(probe());
      for (std::size_t i = 0; i < kTexts; ++i) {
        texts.add(scheduler, question(i, stops.contains(i) ? stops.at(i).tokens : Ids{}));
        for (int step = 0; step < 5; ++step) scheduler.step(StopFlag{});
      }
      while (scheduler.step(StopFlag{})) continue;
      const std::uint64_t rows = probe().rows - before;
      for (std::size_t i = 0; i < kTexts; ++i) {
        const Sequence& sequence = scheduler.at(texts.ids[i]);
        sequence.check();
        const std::size_t length = stops.contains(i) ? stops.at(i).length : expected[i].size();
        EXPECT_EQ(sequence.tokens().size(), length) << i;
        EXPECT_TRUE(begins(sequence.tokens(), expected[i])) << i;
        EXPECT_EQ(sequence.reason(),
                  stops.contains(i) ? StopReason::kStopToken : StopReason::kMaxTokens);
        expect_session(probe(), texts.sessions[i], sequence.tokens(), sequence.ran());
      }
      return rows;
    }
  };
  const std::uint64_t rows = run(false);
  EXPECT_EQ(probe().ahead, 0u);
  // At most a row too many for each stop token, and none where the end was known.
  const std::uint64_t rows_ahead = run(true);
  EXPECT_GT(rows_ahead, rows);
  EXPECT_LE(rows_ahead, rows + 2);
  EXPECT_GT(probe().ahead, 20u);
  EXPECT_EQ(probe().sessions, 0);
}

TEST_P(AheadOfMuch, OneMayBeCancelledOrRemovedAtAnyTime) {
  const std::vector<Ids> expected = one_by_one(probe());
  enum class When { kBetween, kWhileOneBegins, kBeforeRead, kRemoved };
  for (const When when :
       {When::kBetween, When::kWhileOneBegins, When::kBeforeRead, When::kRemoved}) {
    Texts texts(probe());
    Scheduler scheduler(probe());
    for (std::size_t i = 0; i < 3; ++i) texts.add(scheduler, question(i));
    // What runs too far is then the first position of a block.
    Sequence& ended = scheduler.at(texts.ids[2]);
    while (ended.ran() < KvBlock::kPositions) scheduler.step(StopFlag{});
    const Ids tokens = copy_of(ended.tokens());
    std::size_t ran = ended.ran();
    if (when == When::kRemoved) {
      EXPECT_GT(probe().length(texts.sessions[2]), ran);  // it was ahead
      scheduler.remove(texts.ids[2]);
      expect_session(probe(), texts.sessions[2], tokens, ran);
    } else {
      if (when == When::kBetween) ended.cancel();
      if (when == When::kWhileOneBegins)
        probe().before_layer = [&](std::uint64_t, Batch) { ended.cancel(); };
      if (when == When::kBeforeRead) probe().before_read = [&] { ended.cancel(); };
      scheduler.step(StopFlag{});
      probe().before_layer = nullptr;
      probe().before_read = nullptr;
      EXPECT_EQ(ended.reason(), StopReason::kInterrupted);
      EXPECT_EQ(copy_of(ended.tokens()), tokens);
      ran = ended.ran();
      expect_session(probe(), texts.sessions[2], tokens, ran);
    }
    while (scheduler.step(StopFlag{})) continue;
    for (const std::size_t i : {0, 1}) {
      EXPECT_EQ(copy_of(scheduler.at(texts.ids[i]).tokens()), expected[i]) << i;
    }
  }
}

TEST_P(AheadOfMuch, GoesOnWhereItWasStopped) {
  const std::vector<Ids> expected = one_by_one(probe());
  for (const int stop_at : {1, 4}) {
    for (const bool in_the_second : {false, true}) {  // layer of the batch
      Texts texts(probe());
      Scheduler scheduler(probe());
      for (std::size_t i = 0; i < 3; ++i) texts.add(scheduler, question(i));
      for (int i = 0; i < stop_at; ++i) scheduler.step(StopFlag{});
      std::vector<std::size_t> ran;
      for (const SequenceId id : texts.ids) ran.push_back(scheduler.at(id).ran());
      StopFlag stop;
      probe().before_layer = [&](std::uint64_t layer, Batch) {
        if (layer == (in_the_second ? 1u : 0u)) stop.request();
      };
      EXPECT_THROW(scheduler.step(stop), Error);
      probe().before_layer = nullptr;
      for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(scheduler.at(texts.ids[i]).ran(), ran[i]);
        EXPECT_LE(probe().length(texts.sessions[i]), ran[i] + 1);
      }
      while (scheduler.step(StopFlag{})) continue;
      for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(copy_of(scheduler.at(texts.ids[i]).tokens()), expected[i]) << stop_at;
      }
    }
  }
}

// As a chat does: what was answered is taken back, and another question follows.
TEST_P(Ahead, ATextThatWasInterruptedIsOfUseAfterwards) {
  const SequenceRequest first = question(1), second = question(2);
  const auto answers = [&](Engine& engine) {
    TextSession session(engine);
    Ids all;
    StopFlag stop;
    const auto told = [&](std::int32_t token) {
      all.push_back(token);
      if (all.size() == 12) stop.request();
    };
    session.generate(first.sampler, first.prompt, {first.limits, true}, stop, nullptr, told);
    EXPECT_EQ(all.size(), 12u);
    Ids longer = copy_of(session.tokens());
    longer.insert(longer.end(), second.prompt.begin(), second.prompt.end());
    for (const Ids& prompt : {longer, first.prompt}) {
      const GenerateResult result = session.generate(second.sampler, prompt, {second.limits, true},
                                                     StopFlag{}, nullptr, told);
      all.push_back(static_cast<std::int32_t>(result.reused_tokens));
    }
    return all;
  };
  probe().choosing = false;
  const Ids expected = answers(probe());
  probe().choosing = true;
  EXPECT_EQ(answers(probe()), expected);
  EXPECT_GT(probe().ahead, 40u);
}

// Those alone that a test on the processor can see: what fails is whose fault it is.
class AheadOfFaults : public testing::Test {
 protected:
  AheadModel model{"tiny-qwen2"};
  ProbeEngine& probe = *model.probe;
  std::vector<Ids> expected = one_by_one(probe);
  Texts texts{probe};
  Scheduler scheduler{probe};
  void begin() {
    for (std::size_t i = 0; i < 3; ++i) texts.add(scheduler, question(i));
    for (int i = 0; i < 5; ++i) scheduler.step(StopFlag{});
  }
  void expect_answers(std::initializer_list<std::size_t> numbers) {
    while (scheduler.step(StopFlag{})) continue;
    for (const std::size_t i : numbers) {
      scheduler.at(texts.ids[i]).check();
      EXPECT_EQ(copy_of(scheduler.at(texts.ids[i]).tokens()), expected[i]) << i;
    }
  }
};

TEST_F(AheadOfFaults, ABatchThatCannotBeginIsTheFaultOfOne) {
  begin();
  probe.before_layer = [&](std::uint64_t layer, Batch batch) {
    const auto broken = [&](const BatchRow& row) {
      return row.session == texts.sessions[2] && row.position >= 130;
    };
    if (layer == 1 && std::ranges::any_of(batch, broken)) throw std::bad_alloc();
  };
  expect_answers({0, 1});
  const Sequence& failed = scheduler.at(texts.ids[2]);
  EXPECT_THROW(failed.check(), std::bad_alloc);
  EXPECT_EQ(failed.ran(), 130u);
  probe.before_layer = nullptr;
  expect_session(probe, texts.sessions[2], failed.tokens(), 130);
}

// Where tokens cannot be waited for, the batch runs again on the way that waits for everything.
TEST_F(AheadOfFaults, ABatchThatFailsWhenItIsReadRunsAgain) {
  begin();
  int reads = 0;
  probe.before_read = [&] {
    if (++reads % 3 == 0) throw Error(ErrorCode::kIo, "it was lost");
  };
  expect_answers({0, 1, 2});
  EXPECT_GT(reads, 12);
  for (std::size_t i = 0; i < 3; ++i) {
    const Sequence& sequence = scheduler.at(texts.ids[i]);
    expect_session(probe, texts.sessions[i], sequence.tokens(), sequence.ran());
  }
}

TEST_F(AheadOfFaults, LogitsThatAreNoNumbersAreTheFaultOfOne) {
  begin();
  probe.after_logits = [&](std::span<const std::size_t>, std::span<float> logits) {
    logits[probe.config().vocab + 3] = std::numeric_limits<float>::quiet_NaN();
  };
  scheduler.step(StopFlag{});
  probe.after_logits = nullptr;
  expect_answers({0, 2});
  const Sequence& failed = scheduler.at(texts.ids[1]);
  EXPECT_THROW(failed.check(), Error);
  expect_session(probe, texts.sessions[1], failed.tokens(), failed.ran());
}

TEST_F(AheadOfFaults, WhatNeedsLogitsOrHasNoRoomIsNotAhead) {
  const auto run = [&](double penalty, std::size_t most) {
    Scheduler other(probe);
    for (const double each : {1.0, penalty}) {
      other.add({{1, 2, 3}, Sampler({.temperature = 0, .repeat_penalty = each}), {20, 100, {}}});
    }
    other.step(StopFlag{});
    probe.ahead = 0;
    probe.most = most;
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(other.step(StopFlag{}));
    return probe.ahead;
  };
  EXPECT_EQ(run(1, 512), 10u);
  EXPECT_EQ(run(1.1, 512), 0u);
  EXPECT_EQ(run(1, 1), 0u);
}

TEST_F(AheadOfFaults, AFullContextEndsIt) {
  for (const bool choosing : {false, true}) {
    probe.choosing = choosing;
    Scheduler other(probe);
    SequenceRequest request = question(0);
    request.limits.context = 20;
    const std::uint64_t before = probe.rows;
    const SequenceId id = other.add(std::move(request));
    while (other.step(StopFlag{})) continue;
    EXPECT_EQ(other.at(id).reason(), StopReason::kContextFull);
    EXPECT_EQ(other.at(id).tokens().size(), 21u);
    EXPECT_EQ(probe.rows - before, 20u);
  }
}

}  // namespace
}  // namespace pajamas::runtime
