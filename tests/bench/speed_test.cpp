#include "bench/speed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <vector>

#include "base/error.h"
#include "runtime/synthetic_model.h"

namespace pajamas::bench {
namespace {

using runtime::Batch;
using runtime::SessionId;

class FakeHidden final : public runtime::Hidden {
 public:
  explicit FakeHidden(std::size_t rows) : rows_(rows) {}
  std::size_t rows() const noexcept override { return rows_; }
  std::size_t width() const noexcept override { return 1; }
  void read_row(std::size_t, std::span<float>) const override {}

 private:
  std::size_t rows_;
};

// An engine whose clock says what it costs: a second for a batch, a millisecond for each of its
// rows and, for a batch of one, for every position before it; all times `slower`.
class FakeEngine final : public runtime::Engine {
 public:
  const model::ModelConfig& config() const noexcept override { return config_; }
  std::string_view backend() const noexcept override { return "fake"; }
  std::size_t max_batch() const noexcept override { return 512; }
  SessionId create_session() override { return sessions_.emplace(next_, 0), next_++; }
  SessionId fork(SessionId session) override {
    sessions_.emplace(next_, sessions_.at(session));
    now += 1000;  // nobody times that
    return next_++;
  }
  std::uint32_t truncate(SessionId, std::uint32_t length) override { return length; }
  void release(SessionId session) override { sessions_.erase(session); }
  std::uint32_t length(SessionId session) const override { return sessions_.at(session); }
  void forget(SessionId, std::uint64_t) override {}
  std::uint64_t bytes(SessionId session) const override { return 10 * sessions_.at(session); }
  runtime::HiddenPtr embed(Batch batch) override {
    return runtime::HiddenPtr(new FakeHidden(batch.size()));
  }
  runtime::HiddenPtr restore(Batch batch, std::span<const float>) override { return embed(batch); }
  void layer(std::uint64_t index, runtime::Hidden&, Batch batch, runtime::LinearTap*) override {
    if (index != 0) return;
    std::uint32_t& length = sessions_.at(batch.front().session);
    double seconds = 1 + 1e-3 * static_cast<double>(batch.size());
    if (batch.size() == 1) seconds += 1e-3 * length;
    now += slower * seconds;
    for (const runtime::BatchRow& row : batch) {
      EXPECT_EQ(row.position, length++);
      EXPECT_LT(static_cast<std::uint64_t>(row.token), config_.vocab);
    }
    if (after) after(batch);
  }
  runtime::HiddenPtr last_layer(runtime::HiddenPtr hidden, Batch batch) override {
    layer(config_.layers - 1, *hidden, batch, nullptr);
    const auto count = std::ranges::count_if(batch, &runtime::BatchRow::want_logits);
    return count == 0 ? nullptr
                      : runtime::HiddenPtr(new FakeHidden(static_cast<std::size_t>(count)));
  }
  void logits(const runtime::Hidden&, std::span<const std::size_t> rows, std::span<float>,
              runtime::LinearTap*) override {
    wanted += rows.size();
  }

  double now = 5;
  double slower = 1;
  std::uint64_t wanted = 0;
  std::function<void(Batch)> after;
  std::size_t open_sessions() const { return sessions_.size(); }
  model::ModelConfig config_ = runtime::synthetic_config();

 private:
  std::map<SessionId, std::uint32_t> sessions_;
  SessionId next_ = 1;
};

class CountingProgress final : public Progress {
 public:
  void begin(std::string_view, std::uint64_t, std::string_view) override {}
  void advance(std::uint64_t amount) override { done += amount; }
  void end() override {}
  void note(std::string_view) override {}
  std::uint64_t done = 0;
};

runtime::EngineOptions speed_options() {
  runtime::EngineOptions options;
  options.kv_type = runtime::KvType::kF16;
  return options;
}

SpeedQuestion question_at(std::vector<std::uint64_t> contexts) {
  return {std::move(contexts), 600, 3, 3};
}

TEST(SpeedMeter, TimesWhatItSaysAndNothingElse) {
  FakeEngine engine;
  CountingProgress progress;
  SpeedMeter meter(engine, question_at({0, 100, 1000}), progress, [&] { return engine.now; });
  const StopFlag stop;
  engine.slower = 77;  // of the warm-up nothing counts
  meter.warm_up(stop);
  for (const double slower : {1.0, 4.0, 2.0}) {
    EXPECT_FALSE(meter.is_complete());
    engine.slower = slower;
    meter.round(stop);
  }
  EXPECT_TRUE(meter.is_complete());
  EXPECT_EQ(engine.open_sessions(), 0u);
  EXPECT_EQ(progress.done, meter.question().tokens());

  const auto results = results_of(meter, engine.config(), speed_options(), 1000);
  ASSERT_EQ(results.size(), 3u);
  // 600 tokens are two batches at any depth: 2.6 s, and 4 and 2 times that.
  for (const DepthResult& result : results) {
    ASSERT_TRUE(result.prompt_rate && result.generation_rate);
    EXPECT_EQ(result.repeats, 3u);
    EXPECT_NEAR(result.prompt_rate->high, 600 / 2.6, 1e-9);
    EXPECT_NEAR(result.prompt_rate->median, 600 / 5.2, 1e-9);
    EXPECT_NEAR(result.prompt_rate->low, 600 / 10.4, 1e-9);
  }
  // Three tokens with d, d + 1 and d + 2 before them.
  EXPECT_NEAR(results[0].generation_rate->high, 3 / (3 * 1.001 + 0.003), 1e-9);
  EXPECT_NEAR(results[1].generation_rate->high, 3 / (3 * 1.101 + 0.003), 1e-9);
  EXPECT_NEAR(results[2].generation_rate->median, 3 / (2 * (3 * 2.001 + 0.003)), 1e-9);
  // Of an empty prompt there is none; of 1000 tokens, 100 and then two batches of the rest.
  EXPECT_FALSE(results[0].first_token_seconds);
  EXPECT_NEAR(results[1].first_token_seconds->median, 2 * 1.1, 1e-9);
  EXPECT_NEAR(results[2].first_token_seconds->low, 1.1 + 2.9, 1e-9);
  EXPECT_NEAR(results[2].first_token_seconds->high, 4 * (1.1 + 2.9), 1e-9);
  EXPECT_EQ(results[2].cache_bytes, 10'000u);
  // 4 tokens of the warm-up; each round: 2 fills, 3 prompts and 9 tokens; one prompt before.
  EXPECT_EQ(engine.wanted, 5u + 3 * (2 + 3 + 9));
  // After the warm-up, and each round after 2 fills and 3 of both rates; seconds since its begin.
  ASSERT_EQ(meter.memory().size(), 1u + 3 * (2 + 6));
  EXPECT_GT(meter.memory()[0].resident_bytes, 0u);
  EXPECT_LT(meter.memory()[0].seconds, meter.memory()[1].seconds);
  EXPECT_NEAR(meter.memory().back().seconds, engine.now - 5, 1e-9);
}

TEST(SpeedMeter, ThinsOutWhatItKnowsOfMemory) {
  FakeEngine engine;
  CountingProgress progress;
  SpeedMeter meter(engine, question_at({0}), progress, [&] { return engine.now; });
  const StopFlag stop;
  for (int round = 0; round < 500; ++round) meter.round(stop);
  const auto& memory = meter.memory();
  EXPECT_LE(memory.size(), 256u);
  EXPECT_GE(memory.size(), 128u);
  EXPECT_TRUE(std::ranges::is_sorted(memory, {}, &MemorySample::seconds));
  EXPECT_LT(memory.front().seconds, 3);  // the first one stays, and the last one
  EXPECT_NEAR(memory.back().seconds, engine.now - 5 - 1000, 1e-9);  // a fork came first
}

TEST(SpeedMeter, KeepsWhatWasMeasuredBeforeItWasStopped) {
  FakeEngine engine;
  NoProgress progress;
  StopFlag stop;
  SpeedMeter meter(engine, question_at({64, 128, 256}), progress, [&] { return engine.now; });
  engine.after = [&](Batch batch) {
    if (batch.size() == 1 && batch.front().position == 128) stop.request();
  };
  EXPECT_THROW(meter.round(stop), Error);
  EXPECT_FALSE(meter.is_complete());
  EXPECT_EQ(engine.open_sessions(), 0u);
  const auto results = results_of(meter, engine.config(), speed_options(), 1000);
  ASSERT_EQ(results.size(), 2u);
  EXPECT_TRUE(results[0].generation_rate);
  EXPECT_EQ(results[1].context, 128u);
  EXPECT_EQ(results[1].repeats, 0u);
  EXPECT_TRUE(results[1].prompt_rate);
  EXPECT_FALSE(results[1].generation_rate);
  EXPECT_FALSE(results[1].bandwidth_share(1e9));
}

TEST(SpeedResult, SharesMemoryByAllThatATokenReads) {
  DepthResult result;
  result.generation_rate = Spread{10, 9, 11};
  result.weight_bytes = 3'000'000;
  result.cache_bytes_read = 1'000'000;
  EXPECT_DOUBLE_EQ(*result.bandwidth_share(80e6), 0.5);
  EXPECT_FALSE(result.bandwidth_share(0));
}

// The message of what `run` throws.
std::string problem_of(ErrorCode code, const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

TEST(SpeedQuestion, IsRefusedBeyondTheModel) {
  const model::ModelConfig config = runtime::synthetic_config();
  require_room(config, speed_options(), question_at({4096}));
  const std::string text = problem_of(ErrorCode::kUsage, [&] {
    require_room(config, speed_options(), question_at({16, 4097}));
  });
  EXPECT_NE(text.find("4,097"), std::string::npos) << text;
  EXPECT_NE(text.find("at most 4096"), std::string::npos) << text;
}

TEST(SpeedQuestion, IsRefusedBeyondMemoryWithWhatFits) {
  const model::ModelConfig config = runtime::synthetic_config();
  runtime::EngineOptions options = speed_options();
  // Exactly what 1024 positions take: 424 of context and the 600 on top.
  options.memory_budget = runtime::memory_needs(config, options, 1024).total();
  require_room(config, options, question_at({424}));
  const std::string text = problem_of(ErrorCode::kOutOfMemory,
                                      [&] { require_room(config, options, question_at({4000})); });
  EXPECT_NE(text.find("a context of 424 fits"), std::string::npos) << text;
  options.memory_budget = 1;
  EXPECT_NE(
      problem_of(ErrorCode::kOutOfMemory, [&] { require_room(config, options, question_at({16})); })
          .find("no context fits"),
      std::string::npos);
}

TEST(SpeedQuestion, HasDefaultsThatFit) {
  model::ModelConfig config = runtime::synthetic_config();
  const SpeedQuestion rest = question_at({});
  using List = std::vector<std::uint64_t>;
  EXPECT_EQ(default_contexts(config, speed_options(), rest), (List{512, 2048}));
  config.context_length = 8192;
  EXPECT_EQ(default_contexts(config, speed_options(), rest), (List{512, 2048, 8192}));
  config.context_length = 256;
  EXPECT_EQ(default_contexts(config, speed_options(), rest), (List{128}));
}

}  // namespace
}  // namespace pajamas::bench
