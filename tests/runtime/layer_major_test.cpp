// Models run layer by layer, and in every other order that the engine allows.
#include "runtime/layer_major.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include "io/temp.h"
#include "runtime/model_engine.h"

namespace pajamas::runtime {
namespace {

class EachModel : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(LayerMajor, EachModel,
                         testing::Values("tiny-qwen2", "tiny-qwen3-moe", "tiny-gpt-oss"),
                         [](const auto& model) {
                           std::string name = model.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

// Two texts longer than a batch, the end of the first and the beginning of the second in one.
constexpr SessionId kFirst = 7, kSecond = 3;
std::vector<std::vector<BatchRow>> batches_of(std::size_t vocab) {
  std::vector<std::vector<BatchRow>> batches;
  batches.push_back(rows_of_text(kFirst, 1, vocab, 0, 512));
  batches.push_back(rows_of_text(kFirst, 1, vocab, 512, 512));
  batches.push_back(rows_of_text(kFirst, 1, vocab, 1024, 200));
  const auto begin = rows_of_text(kSecond, 2, vocab, 0, 300);
  batches[2].insert(batches[2].end(), begin.begin(), begin.end());
  batches.push_back(rows_of_text(kSecond, 2, vocab, 300, 400));
  return batches;
}

// What comes out of the last layer, batch by batch, of an engine that runs them one by one.
std::vector<std::vector<float>> token_major(Engine& engine,
                                            std::span<const std::vector<BatchRow>> batches) {
  std::map<SessionId, SessionId> sessions{{kFirst, engine.create_session()},
                                          {kSecond, engine.create_session()}};
  std::vector<std::vector<float>> out;
  for (std::vector<BatchRow> rows : batches) {
    for (BatchRow& row : rows) row.session = sessions.at(row.session);
    out.push_back(values_of(*run_layers(engine, rows, StopFlag{})));
  }
  for (const auto& [number, session] : sessions) engine.release(session);
  return out;
}

// What the keys and values of each stream are stored as.
constexpr KvType kKvOf[] = {KvType::kF32, KvType::kQ8_0};

// Measures the keys and values of the streams, after every batch and after every layer.
class Measure final : public LayerVisitor {
 public:
  Measure(std::span<const Stream> streams) : streams_(streams) {}

  LinearTap* begin(std::size_t, std::uint64_t) override { return nullptr; }
  void after_batch(std::size_t stream, std::uint64_t layer, std::size_t, Batch rows) override {
    const Engine& engine = streams_[stream].engine;
    std::map<SessionId, std::uint32_t> lengths;
    for (const BatchRow& row : rows) lengths[row.session] = row.position + 1;
    for (const auto& [session, length] : lengths) sessions_[stream].insert(session);
    for (const SessionId session : sessions_[stream]) {
      std::uint64_t expected = 0;
      if (lengths.contains(session)) {
        expected =
            KvCache::bytes_for(one_layer(engine.config(), layer), lengths[session], kKvOf[stream]);
      }
      EXPECT_EQ(engine.bytes(session), expected) << "layer " << layer;
    }
    order.push_back({stream, layer});
  }
  void end(std::size_t stream, std::uint64_t layer) override {
    for (const SessionId session : sessions_[stream]) {
      EXPECT_EQ(streams_[stream].engine.bytes(session), 0u) << "layer " << layer;
    }
  }

  std::vector<std::pair<std::size_t, std::uint64_t>> order;

 private:
  static model::ModelConfig one_layer(model::ModelConfig config, std::uint64_t layer) {
    const bool slides = config.window(layer) != 0;
    config.layers = 1;
    config.sliding_layers = {slides};
    return config;
  }

  std::span<const Stream> streams_;
  std::map<std::size_t, std::set<SessionId>> sessions_;
};

// Bit for bit, with the keys and values of one layer of one text, wherever the activations wait.
TEST_P(EachModel, LayerMajorIsTokenMajor) {
  const test::TempFolder folder;
  ModelEngine a(GetParam()), b(GetParam(), Activations::kFloat, kKvOf[1]);
  const auto batches = batches_of(a.engine.config().vocab);
  const auto expected_a = token_major(a.engine, batches);
  const auto expected_b = token_major(b.engine, batches);
  ASSERT_TRUE(expected_a != expected_b);
  const std::uint64_t batch_bytes = 512 * a.engine.config().hidden * sizeof(float);
  ActivationStore in_memory(1u << 30, folder.path()), in_both(2 * batch_bytes, folder.path());
  const std::vector<Stream> streams{{a.engine, in_memory}, {b.engine, in_both}};
  Measure measure(streams);
  NoProgress progress;
  run_layer_major(streams, batches, measure, progress, StopFlag{});

  EXPECT_EQ(in_memory.file_bytes(), 0u);
  EXPECT_EQ(in_both.memory_bytes(), 2 * batch_bytes);
  EXPECT_GT(in_both.file_bytes(), 0u);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));  // its file has no name
  for (std::size_t i = 0; i < batches.size(); ++i) {
    const auto out_a = in_memory.get(i, a.engine, batches[i]);
    EXPECT_EQ(values_of(*out_a), expected_a[i]) << "batch " << i;
    EXPECT_EQ(values_of(*in_both.get(i, b.engine, batches[i])), expected_b[i]) << "batch " << i;
  }
  ASSERT_EQ(measure.order.size(), 2 * a.engine.config().layers * batches.size());
  EXPECT_TRUE(std::ranges::is_sorted(measure.order, {}, [](const auto& at) {
    return std::pair(at.second, at.first);  // layer by layer, stream by stream
  }));
  EXPECT_EQ(a.engine.create_session(), 4u);  // two of each pass, which are gone
}

TEST_P(EachModel, AFileAloneHoldsTheActivationsToo) {
  const test::TempFolder folder;
  ModelEngine model(GetParam());
  const auto batches = batches_of(model.engine.config().vocab);
  ActivationStore memory(1u << 30, folder.path()), file(0, folder.path());
  for (ActivationStore* store : {&memory, &file}) {
    const Stream stream{model.engine, *store};
    Measure measure({&stream, 1});
    NoProgress progress;
    run_layer_major({&stream, 1}, batches, measure, progress, StopFlag{});
  }
  EXPECT_EQ(file.memory_bytes(), 0u);
  for (std::size_t i = 0; i < batches.size(); ++i) {
    const auto hidden = file.get(i, model.engine, batches[i]);
    EXPECT_EQ(values_of(*hidden), values_of(*memory.get(i, model.engine, batches[i])));
  }
}

// Three batches of one session, each a layer behind the one before it; windows move in the layers.
TEST_P(EachModel, BatchesOfASessionFollowEachOtherThroughTheLayers) {
  ModelEngine model(GetParam());
  Engine& engine = model.engine;
  const std::size_t vocab = engine.config().vocab;
  std::vector<std::vector<BatchRow>> batches;
  const SessionId session = engine.create_session();
  for (std::uint32_t i = 0; i < 3; ++i) {
    batches.push_back(rows_of_text(session, 4, vocab, i * 512, 512));
  }
  std::vector<std::vector<float>> expected;
  for (const auto& rows : batches) {
    expected.push_back(values_of(*run_layers(engine, rows, StopFlag{})));
  }
  const SessionId other = engine.create_session();
  std::vector<HiddenPtr> hidden;
  for (auto& rows : batches) {
    for (BatchRow& row : rows) row.session = other;
    hidden.push_back(engine.embed(rows));
  }
  EXPECT_EQ(engine.bytes(other), 0u);  // embedding changes nothing
  const std::uint64_t layers = engine.config().layers;
  for (std::uint64_t step = 0; step < layers + 2; ++step) {
    for (std::size_t i = 0; i < 3; ++i) {
      if (step >= i && step - i < layers) engine.layer(step - i, *hidden[i], batches[i]);
    }
  }
  EXPECT_EQ(engine.length(other), 3 * 512u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(values_of(*hidden[i]), expected[i]) << i;
}

// The first layers on one engine, the others on another.
TEST_P(EachModel, AnotherEngineGoesOnWhereOneStops) {
  ModelEngine whole(GetParam()), first(GetParam()), second(GetParam());
  const std::size_t vocab = whole.engine.config().vocab;
  const std::uint64_t layers = whole.engine.config().layers;
  const SessionId session = whole.engine.create_session();
  ASSERT_EQ(first.engine.create_session(), session);
  ASSERT_EQ(second.engine.create_session(), session);
  for (const std::uint32_t at : {0u, 512u, 1024u}) {
    const auto rows = rows_of_text(session, 5, vocab, at, 512);
    const auto expected = values_of(*run_layers(whole.engine, rows, StopFlag{}));
    const auto hidden = first.engine.embed(rows);
    for (std::uint64_t i = 0; i < layers / 2; ++i) first.engine.layer(i, *hidden, rows);
    const auto passed_on = second.engine.restore(rows, values_of(*hidden));
    for (std::uint64_t i = layers / 2; i < layers; ++i) second.engine.layer(i, *passed_on, rows);
    EXPECT_EQ(values_of(*passed_on), expected) << at;
  }
  EXPECT_LT(first.engine.bytes(session), whole.engine.bytes(session));
}

class Foreign final : public Hidden {
 public:
  std::size_t rows() const noexcept override { return 1; }
  std::size_t width() const noexcept override { return 1; }
  void read_row(std::size_t, std::span<float>) const override {}
};

TEST(EngineLayers, ActivationsOfAnotherEngineAreRefused) {
  ModelEngine a("tiny-qwen2"), b("tiny-qwen2");
  const BatchRow row{a.engine.create_session(), 0, 5, true};
  b.engine.create_session();
  const auto hidden = a.engine.embed({&row, 1});
  const std::size_t first = 0;
  std::vector<float> logits(a.engine.config().vocab);
  Foreign foreign;
  for (Hidden* other : {hidden.get(), static_cast<Hidden*>(&foreign)}) {
    test::expect_error(ErrorCode::kUsage, "another engine", [&] {
      b.engine.layer(0, *other, {&row, 1});
    });
    test::expect_error(ErrorCode::kUsage, "another engine", [&] {
      b.engine.logits(*other, {&first, 1}, logits);
    });
  }
  EXPECT_EQ(b.engine.bytes(0), 0u);
  a.engine.layer(0, *hidden, {&row, 1});
}

// Fails at the inputs of one role in one layer.
// Logits alone: of the last layer the rows that want none leave their keys and values.
TEST_P(EachModel, LogitsAreThoseOfTheWholeLastLayer) {
  ModelEngine model(GetParam());
  Engine& engine = model.engine;
  const std::size_t vocab = engine.config().vocab;
  const auto batch_of = [&](SessionId a, SessionId b, std::uint32_t first, std::uint32_t count) {
    auto rows = rows_of_text(a, 1, vocab, first, count);
    const auto more = rows_of_text(b, 2, vocab, first, count);
    rows.insert(rows.end(), more.begin(), more.end());
    return rows;
  };
  const SessionId a = engine.create_session(), b = engine.create_session();
  const SessionId whole_a = engine.create_session(), whole_b = engine.create_session();
  std::uint32_t at = 0;
  const std::pair<std::uint32_t, std::function<bool(std::size_t)>> steps[] = {
      {200, [](std::size_t) { return false; }},
      {40, [](std::size_t i) { return i == 39; }},
      {9, [](std::size_t i) { return i == 8 || i == 17; }},
      {30, [](std::size_t i) { return i % 3 == 1 || (i > 10 && i < 20); }},
      {1, [](std::size_t) { return true; }}};
  for (const auto& [count, wants] : steps) {
    const auto all =
        all_logits(engine, *run_layers(engine, batch_of(whole_a, whole_b, at, count), StopFlag{}));
    auto rows = batch_of(a, b, at, count);
    std::vector<float> expected;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      rows[i].want_logits = wants(i);
      const auto row = std::span(all).subspan(i * vocab, vocab);
      if (wants(i)) expected.insert(expected.end(), row.begin(), row.end());
    }
    std::vector<float> logits(expected.size());
    forward(engine, rows, logits, StopFlag{});
    EXPECT_EQ(logits, expected) << at;
    at += count;
    EXPECT_EQ(engine.length(a), at);
  }
}

class FailingTap final : public LinearTap {
 public:
  FailingTap(model::TensorKey key) : key_(key) {}
  void input(std::span<const model::TensorKey> matrices, Rows,
             std::span<const std::uint32_t>) override {
    if (matrices.front() == key_) throw Error(ErrorCode::kIo, "no more");
  }

 private:
  model::TensorKey key_;
};

TEST(EngineLayers, ABatchThatFailsIsInNoneOfItsSessions) {
  ModelEngine model("tiny-qwen2");
  Engine& engine = model.engine;
  const std::size_t vocab = engine.config().vocab;
  const SessionId a = engine.create_session(), b = engine.create_session();
  auto rows = rows_of_text(a, 1, vocab, 0, 20);
  const auto more = rows_of_text(b, 2, vocab, 0, 30);
  rows.insert(rows.end(), more.begin(), more.end());
  const auto expected = values_of(*run_layers(engine, rows, StopFlag{}));
  for (const SessionId session : {a, b}) ASSERT_EQ(engine.truncate(session, 0), 0u);

  FailingTap tap({model::Role::kFfnDown, 1});
  const auto hidden = engine.embed(rows);
  engine.layer(0, *hidden, rows, &tap);
  const auto between = values_of(*hidden);
  EXPECT_THROW(engine.layer(1, *hidden, rows, &tap), Error);
  for (const SessionId session : {a, b}) EXPECT_EQ(engine.length(session), 0u);
  // Layer 1 takes the same rows again.
  const auto again = engine.restore(rows, between);
  for (std::uint64_t i = 1; i < engine.config().layers; ++i) engine.layer(i, *again, rows);
  EXPECT_EQ(values_of(*again), expected);
  EXPECT_EQ(engine.length(a), 20u);
  EXPECT_EQ(engine.length(b), 30u);
}

TEST(EngineLayers, ALayerThatIsForgottenBeginsAnew) {
  ModelEngine model("tiny-qwen2");
  Engine& engine = model.engine;
  const SessionId session = engine.create_session();
  const auto rows = rows_of_text(session, 1, engine.config().vocab, 0, 40);
  const auto hidden = engine.embed(rows);
  engine.layer(0, *hidden, rows);
  const auto expected = values_of(*hidden);
  EXPECT_GT(engine.bytes(session), 0u);
  engine.forget(session, 0);
  EXPECT_EQ(engine.bytes(session), 0u);
  const auto again = engine.embed(rows);
  engine.layer(0, *again, rows);
  EXPECT_EQ(values_of(*again), expected);
}

}  // namespace
}  // namespace pajamas::runtime
