// The router's choice and the experts' mixture against float64.
#include "runtime/native/cpu/experts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "codec/codec.h"
#include "model/model_folder.h"
#include "paths.h"
#include "runtime/native/cpu/device.h"
#include "runtime/native/mixture.h"
#include "runtime/numbers.h"
#include "weights/mapped.h"

namespace pajamas::runtime {
namespace {

using weights::MappedWeights;

using model::Role;
using model::RouterKind;
using Vector = std::vector<double>;

struct Chosen {
  std::vector<std::uint32_t> experts;
  Vector weights;
};

// The definition, in float64.
Chosen chosen_exactly(const model::ModelConfig& config, const Vector& scores) {
  std::vector<std::uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return scores[a] > scores[b]; });
  order.resize(config.experts_used);
  std::sort(order.begin(), order.end());
  double sum = 0;
  const bool over_chosen =
      config.router == RouterKind::kTopThenSoftmax || config.router_renormalises;
  for (std::uint32_t e = 0; e < scores.size(); ++e) {
    if (!over_chosen || std::ranges::count(order, e) > 0) sum += std::exp(scores[e]);
  }
  Chosen chosen{order, {}};
  for (const std::uint32_t e : order) chosen.weights.push_back(std::exp(scores[e]) / sum);
  return chosen;
}

// The difference to the largest score is rounded to float before its exponential is taken.
void expect_choice(const model::ModelConfig& config, const std::vector<float>& scores) {
  const Chosen exact = chosen_exactly(config, Vector(scores.begin(), scores.end()));
  std::vector<float> work = scores;
  std::vector<std::uint32_t> experts(config.experts_used);
  std::vector<float> weights(config.experts_used);
  choose_experts(config, work, experts, weights);
  ASSERT_EQ(experts, exact.experts);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    ASSERT_NEAR(static_cast<double>(weights[i]), exact.weights[i], 5e-6 * exact.weights[i] + 1e-40);
  }
}

struct Router {
  RouterKind kind;
  bool renormalises;
};
constexpr Router kRouters[] = {{RouterKind::kSoftmaxThenTop, true},
                               {RouterKind::kSoftmaxThenTop, false},
                               {RouterKind::kTopThenSoftmax, true},
                               {RouterKind::kTopThenSoftmax, false}};

TEST(ChooseExperts, EqualsTheDefinition) {
  Numbers numbers(3);
  for (const auto& [kind, renormalises] : kRouters) {
    for (const auto& [experts, used] :
         {std::pair{8u, 2u}, {128u, 8u}, {32u, 4u}, {5u, 5u}, {3u, 1u}}) {
      model::ModelConfig config;
      config.experts = experts;
      config.experts_used = used;
      config.router = kind;
      config.router_renormalises = renormalises;
      for (const float scale : {1.0f, 12.0f}) {
        for (int i = 0; i < 20; ++i) expect_choice(config, numbers.normals(experts, scale));
      }
    }
  }
}

TEST(ChooseExperts, OfEqualScoresTheFirstIsChosen) {
  model::ModelConfig config;
  config.experts = 6;
  config.experts_used = 3;
  for (const auto& [kind, renormalises] : kRouters) {
    config.router = kind;
    config.router_renormalises = renormalises;
    expect_choice(config, {1, 1, 1, 1, 1, 1});
    expect_choice(config, {0, 2, 1, 2, 1, 1});
    expect_choice(config, {-5, -5, 7, -5, -5, -5});
    expect_choice(config, {0.0f, -0.0f, 0.0f, -0.0f, 0, 0});
  }
}

// All weights of a tensor, decoded by the formats' definition.
Vector all_values(const model::Checkpoint& checkpoint, Role role, int layer) {
  const model::StoredTensor& tensor = checkpoint.get({role, layer});
  const std::uint64_t rows = tensor.shape.rows(), cols = tensor.shape.cols();
  std::vector<std::byte> bytes[Encoding::kMaxPlanes];
  Planes planes;
  ConstPlanes stored;
  for (std::size_t p = 0; p < tensor.encoding.planes(); ++p) {
    bytes[p].resize(rows * tensor.encoding.plane_row_bytes(p, cols));
    planes.plane[p] = bytes[p];
    stored.plane[p] = bytes[p];
  }
  checkpoint.read_rows(tensor, 0, rows, planes);
  std::vector<float> values(rows * cols);
  codec::decode_rows(tensor.encoding, stored, cols, values);
  return {values.begin(), values.end()};
}

// A mixture of experts by its definition, one token and one weight at a time.
class NaiveMixture {
 public:
  NaiveMixture(const model::Checkpoint& checkpoint, int layer) : config_(checkpoint.config()) {
    for (const Role role :
         {Role::kRouter, Role::kExpertGate, Role::kExpertUp, Role::kExpertDown, Role::kRouterBias,
          Role::kExpertGateBias, Role::kExpertUpBias, Role::kExpertDownBias}) {
      if (checkpoint.find({role, layer}) != nullptr) {
        values_[role] = all_values(checkpoint, role, layer);
      }
    }
  }

  Vector operator()(const Vector& x) const {
    const Chosen chosen =
        chosen_exactly(config_, product(Role::kRouter, Role::kRouterBias, 0, config_.experts, x));
    Vector out(config_.hidden);
    for (std::size_t i = 0; i < chosen.experts.size(); ++i) {
      const std::uint32_t e = chosen.experts[i];
      const Vector gate =
          product(Role::kExpertGate, Role::kExpertGateBias, e, config_.expert_ffn, x);
      const Vector up = product(Role::kExpertUp, Role::kExpertUpBias, e, config_.expert_ffn, x);
      Vector inner(config_.expert_ffn);
      for (std::size_t r = 0; r < inner.size(); ++r) inner[r] = activation(gate[r], up[r]);
      const Vector y = product(Role::kExpertDown, Role::kExpertDownBias, e, config_.hidden, inner);
      for (std::size_t c = 0; c < out.size(); ++c) out[c] += chosen.weights[i] * y[c];
    }
    return out;
  }

  mutable std::size_t clamped = 0;

 private:
  double activation(double gate, double up) const {
    if (config_.activation == model::Activation::kSwiGlu) return gate / (1 + std::exp(-gate)) * up;
    const double g = std::min(gate, config_.swiglu_limit);
    const double u = std::clamp(up, -config_.swiglu_limit, config_.swiglu_limit);
    clamped += g != gate || u != up ? 1u : 0u;
    return (u + 1) * g / (1 + std::exp(-1.702 * g));
  }
  Vector product(Role matrix, Role bias, std::size_t expert, std::size_t rows,
                 const Vector& x) const {
    const double* w = values_.at(matrix).data() + expert * rows * x.size();
    Vector out(rows);
    for (std::size_t r = 0; r < rows; ++r) {
      out[r] = std::inner_product(x.begin(), x.end(), w + r * x.size(), 0.0);
    }
    if (const auto b = values_.find(bias); b != values_.end()) {
      for (std::size_t r = 0; r < rows; ++r) out[r] += b->second[expert * rows + r];
    }
    return out;
  }

  const model::ModelConfig& config_;
  std::map<Role, Vector> values_;
};

// Rows through the experts of a layer on a device.
std::vector<float> mixture_of(Device& device, int layer, std::span<const float> x) {
  const std::size_t rows = x.size() / device.config().hidden;
  const Workspace workspace(device, rows);
  const ExpertWork work = workspace.experts(rows);
  TapReader reader(device);
  device.write(x, work.x);
  const Projection router{{Role::kRouter, layer}, Role::kRouterBias, work.scores};
  device.linear(work.x, {&router, 1});
  mix_experts(device, layer, work, nullptr, reader);
  std::vector<float> room;
  const std::span<const float> out = device.read(work.update, room);
  return {out.begin(), out.end()};
}

class MixExperts : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Models, MixExperts, testing::Values("tiny-qwen3-moe", "tiny-gpt-oss"),
                         [](const auto& model) {
                           std::string name = model.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST_P(MixExperts, EqualsTheDefinitionHoweverItIsComputed) {
  const std::string path = std::string(source_dir() + "/models/") + GetParam();
  const auto store = std::make_shared<const MappedWeights>(model::Checkpoint::open(path));
  const MappedWeights& weights = *store;
  const std::size_t hidden = weights.config().hidden;
  const TaskPool one(1), three(3);
  constexpr std::size_t kRows = 11;  // an expert gets up to that many
  // Wide enough that gpt-oss's limits are met.
  const std::vector<float> x = Numbers(9).normals(kRows * hidden, 4);
  for (const int layer : {0, static_cast<int>(weights.config().layers) - 1}) {
    const NaiveMixture naive(weights.checkpoint(), layer);
    Vector exact;
    for (std::size_t m = 0; m < kRows; ++m) {
      const auto row = std::span(x).subspan(m * hidden, hidden);
      const Vector y = naive(Vector(row.begin(), row.end()));
      exact.insert(exact.end(), y.begin(), y.end());
    }
    EXPECT_EQ(naive.clamped > 0, std::string_view(GetParam()) == "tiny-gpt-oss");
    double largest = 0;
    for (const double v : exact) largest = std::max(largest, std::abs(v));
    for (const kernels::KernelTable* table : kernels::all_kernels()) {
      if (!table->supported(cpu_features())) continue;
      CpuDevice side_by_side(store, three, *table), alone(store, one, *table);
      const std::vector<float> together = mixture_of(side_by_side, layer, x);
      for (std::size_t i = 0; i < x.size(); ++i) {
        ASSERT_NEAR(static_cast<double>(together[i]), exact[i], 3e-6 * largest)
            << table->name << " layer " << layer << " at " << i;
      }
      std::vector<float> apart;
      for (std::size_t m = 0; m < kRows;) {
        const std::size_t count = std::min<std::size_t>(1 + m % 6, kRows - m);
        const std::vector<float> some =
            mixture_of(alone, layer, std::span(x).subspan(m * hidden, count * hidden));
        apart.insert(apart.end(), some.begin(), some.end());
        m += count;
      }
      EXPECT_EQ(apart, together) << table->name;
    }
  }
}

}  // namespace
}  // namespace pajamas::runtime
