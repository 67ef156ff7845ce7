// A whole forward pass of a model that has every feature of attention, against one in float64.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "runtime/native/cpu/attention.h"
#include "runtime/native/cpu/device.h"
#include "runtime/native/engine.h"
#include "runtime/synthetic_model.h"

namespace pajamas::runtime {
namespace {

using model::ModelConfig;
using model::Role;
using Vector = std::vector<double>;

// The definition, token by token, without a cache of any kind.
class Reference {
 public:
  Reference(const SyntheticWeights& weights) : weights_(weights), config_(weights.config()) {}

  // Logits of every token: [tokens][vocab].
  std::vector<Vector> run(std::span<const std::int32_t> tokens) const {
    std::vector<Vector> hidden;
    for (const std::int32_t token : tokens) {
      const float* row = weights_.values(Role::kTokenEmbedding).data() +
                         static_cast<std::size_t>(token) * config_.hidden;
      hidden.emplace_back(row, row + config_.hidden);
    }
    for (int layer = 0; layer < static_cast<int>(config_.layers); ++layer) attend(layer, hidden);
    std::vector<Vector> logits;
    for (const Vector& row : hidden) {
      logits.push_back(
          product(weights_.values(Role::kOutput), normed(row, weights_.values(Role::kOutputNorm))));
    }
    return logits;
  }

 private:
  static Vector product(const std::vector<float>& matrix, const Vector& x) {
    Vector out(matrix.size() / x.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
      for (std::size_t j = 0; j < x.size(); ++j) {
        out[i] += static_cast<double>(matrix[i * x.size() + j]) * x[j];
      }
    }
    return out;
  }
  Vector normed(const Vector& x, const std::vector<float>& weight) const {
    double squares = 0;
    for (const double v : x) squares += v * v;
    const double root = std::sqrt(squares / static_cast<double>(x.size()) + config_.norm_eps);
    Vector out(x.size());
    for (std::size_t i = 0; i < x.size(); ++i)
      out[i] = x[i] / root * static_cast<double>(weight[i]);
    return out;
  }
  // Heads of one row, with bias: [heads][head_dim].
  std::vector<Vector> heads(const Vector& x, Role matrix, Role bias, int layer) const {
    Vector row = product(weights_.values(matrix, layer), x);
    std::vector<Vector> out;
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i % config_.head_dim == 0) out.emplace_back();
      out.back().push_back(row[i] + static_cast<double>(weights_.values(bias, layer)[i]));
    }
    return out;
  }
  // Norm of the head, then rotation.
  void place(Vector& head, Role norm, int layer, std::size_t position) const {
    head = normed(head, weights_.values(norm, layer));
    const std::size_t half = config_.head_dim / 2;
    for (std::size_t i = 0; i < half; ++i) {
      const double angle =
          static_cast<double>(position) / config_.rope_scaling.factor *
          std::pow(config_.rope_theta, -static_cast<double>(i) / static_cast<double>(half));
      double& a = head[config_.rope_interleaved ? 2 * i : i];
      double& b = head[config_.rope_interleaved ? 2 * i + 1 : i + half];
      const double turned = a * std::cos(angle) - b * std::sin(angle);
      b = b * std::cos(angle) + a * std::sin(angle);
      a = turned;
    }
  }
  void attend(int layer, std::vector<Vector>& hidden) const {
    std::vector<std::vector<Vector>> keys, values;
    for (std::size_t p = 0; p < hidden.size(); ++p) {
      const Vector x = normed(hidden[p], weights_.values(Role::kAttnNorm, layer));
      auto queries = heads(x, Role::kAttnQ, Role::kAttnQBias, layer);
      keys.push_back(heads(x, Role::kAttnK, Role::kAttnKBias, layer));
      values.push_back(heads(x, Role::kAttnV, Role::kAttnVBias, layer));
      for (Vector& head : keys.back()) place(head, Role::kAttnKNorm, layer, p);
      Vector mixed;
      for (std::size_t h = 0; h < queries.size(); ++h) {
        place(queries[h], Role::kAttnQNorm, layer, p);
        const Vector head = mix(queries[h], h, p, layer, keys, values);
        mixed.insert(mixed.end(), head.begin(), head.end());
      }
      const Vector update = product(weights_.values(Role::kAttnOutput, layer), mixed);
      for (std::size_t i = 0; i < update.size(); ++i) {
        hidden[p][i] +=
            update[i] + static_cast<double>(weights_.values(Role::kAttnOutputBias, layer)[i]);
      }
    }
  }
  Vector mix(const Vector& query, std::size_t h, std::size_t position, int layer,
             const std::vector<std::vector<Vector>>& keys,
             const std::vector<std::vector<Vector>>& values) const {
    const std::size_t kv = h / (config_.heads / config_.kv_heads);
    const std::uint64_t window = config_.window(static_cast<std::uint64_t>(layer));
    double sum = std::exp(static_cast<double>(weights_.values(Role::kAttnSinks, layer)[h]));
    Vector out(query.size());
    for (std::size_t p = 0; p <= position; ++p) {
      if (window != 0 && position - p >= window) continue;
      double score = 0;
      for (std::size_t d = 0; d < query.size(); ++d) score += query[d] * keys[p][kv][d];
      const double weight = std::exp(score / std::sqrt(static_cast<double>(query.size())));
      sum += weight;
      for (std::size_t d = 0; d < query.size(); ++d) out[d] += weight * values[p][kv][d];
    }
    for (double& v : out) v /= sum;
    return out;
  }

  const SyntheticWeights& weights_;
  const ModelConfig& config_;
};

std::vector<std::int32_t> random_tokens(std::size_t count) {
  Numbers numbers(5);
  std::vector<std::int32_t> tokens(count);
  for (std::int32_t& token : tokens) token = static_cast<std::int32_t>(numbers.bits() % 50);
  return tokens;
}

struct SyntheticEngine {
  explicit SyntheticEngine(const ModelConfig& config, KvType type = KvType::kF32, int threads = 2)
      : pool(threads),
        engine(std::make_unique<CpuDevice>(std::make_unique<SyntheticWeights>(config), pool,
                                           kernels::best_kernels()),
               type) {}

  // Logits of every token, in batches of so many.
  std::vector<float> run(SessionId session, std::span<const std::int32_t> tokens,
                         std::size_t step = NativeEngine::kMaxBatch) {
    std::vector<float> logits;
    for (std::size_t first = 0; first < tokens.size(); first += step) {
      std::vector<BatchRow> batch;
      std::uint32_t position = engine.length(session);
      for (const std::int32_t token :
           tokens.subspan(first, std::min(step, tokens.size() - first))) {
        batch.push_back({session, position++, token, true});
      }
      std::vector<float> part(batch.size() * engine.config().vocab);
      forward(engine, batch, part, StopFlag{});
      logits.insert(logits.end(), part.begin(), part.end());
    }
    return logits;
  }

  TaskPool pool;
  NativeEngine engine;
};

TEST(AttentionLayer, IsTheDefinitionInFloat64) {
  for (const bool interleaved : {false, true}) {
    ModelConfig config = synthetic_config();
    config.rope_interleaved = interleaved;
    config.rope_scaling.kind = model::RopeScaling::Kind::kLinear;
    config.rope_scaling.factor = 1.5;
    const auto tokens = random_tokens(150);
    SyntheticEngine synthetic(config);
    const auto logits = synthetic.run(synthetic.engine.create_session(), tokens);
    const auto exact = Reference(SyntheticWeights(config)).run(tokens);
    for (std::size_t p = 0; p < tokens.size(); ++p) {
      for (std::size_t i = 0; i < config.vocab; ++i) {
        ASSERT_NEAR(logits[p * config.vocab + i], exact[p][i], 1e-4) << p << ", " << interleaved;
      }
    }
  }
}

class EachType : public testing::TestWithParam<KvType> {};
INSTANTIATE_TEST_SUITE_P(AttentionLayer, EachType,
                         testing::Values(KvType::kF32, KvType::kF16, KvType::kBF16, KvType::kQ8_0,
                                         KvType::kQ4_0, KvType::kQ3_0),
                         [](const auto& type) {
                           return std::string(runtime::info(type.param).name);
                         });

TEST_P(EachType, BatchesAndThreadsChangeNothing) {
  const auto tokens = random_tokens(kRunPositions + 100);
  SyntheticEngine one(synthetic_config(), GetParam(), 1);
  const auto expected = one.run(one.engine.create_session(), tokens);
  for (const std::size_t step : {1u, 7u, 130u}) {
    SyntheticEngine other(synthetic_config(), GetParam(), 3);
    EXPECT_EQ(other.run(other.engine.create_session(), tokens, step), expected) << step;
  }
}

// Logits are about 7 in size.
TEST_P(EachType, StaysNearFloats) {
  const double limits[] = {0, 5e-3, 3e-2, 4e-2, 0.5, 1.0};
  const auto tokens = random_tokens(300);
  SyntheticEngine floats(synthetic_config());
  SyntheticEngine other(synthetic_config(), GetParam());
  const auto exact = floats.run(floats.engine.create_session(), tokens);
  const auto logits = other.run(other.engine.create_session(), tokens);
  double squares = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const double error = static_cast<double>(logits[i]) - static_cast<double>(exact[i]);
    squares += error * error;
  }
  const double rms = std::sqrt(squares / static_cast<double>(exact.size()));
  EXPECT_LE(rms, limits[static_cast<std::size_t>(GetParam())]);
  if (GetParam() != KvType::kF32) {
    EXPECT_GT(rms, limits[static_cast<std::size_t>(GetParam())] / 30);
  }
}

TEST_P(EachType, ForksAndTruncationsContinueAsIfNothingHadBeen) {
  const auto tokens = random_tokens(1500);
  const std::size_t vocab = synthetic_config().vocab;
  SyntheticEngine synthetic(synthetic_config(), GetParam());
  NativeEngine& engine = synthetic.engine;
  const auto whole = synthetic.run(engine.create_session(), tokens, 300);
  const auto rest_of = [&](std::size_t from) { return std::span(whole).subspan(from * vocab); };

  const SessionId session = engine.create_session();
  synthetic.run(session, std::span(tokens).first(700));
  const SessionId fork = engine.fork(session);
  synthetic.run(session, random_tokens(400));
  EXPECT_EQ(engine.truncate(session, 700), 700u);  // within a batch of the end
  EXPECT_TRUE(
      std::ranges::equal(synthetic.run(session, std::span(tokens).subspan(700)), rest_of(700)));
  EXPECT_EQ(engine.truncate(session, 300), 0u);  // the window has moved on: from the start, then
  EXPECT_EQ(engine.length(session), 0u);
  EXPECT_EQ(synthetic.run(session, tokens, 499), whole);
  EXPECT_TRUE(
      std::ranges::equal(synthetic.run(fork, std::span(tokens).subspan(700)), rest_of(700)));
}

}  // namespace
}  // namespace pajamas::runtime
