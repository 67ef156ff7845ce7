#include "runtime/native/experts.h"

#include <algorithm>
#include <initializer_list>
#include <numeric>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "kernels/math.h"
#include "runtime/native/buffer.h"

namespace pajamas::runtime {

using model::Role;
using model::TensorKey;
using weights::WeightLease;
using weights::WeightStore;
using weights::WeightView;

namespace {

// What each expert has to do: its rows lie together in [first, last) of the assignments.
struct Assignments {
  std::vector<std::uint32_t> row;    // of the batch
  std::vector<float> weight;         // of that row's output
  std::vector<std::uint32_t> begin;  // [experts + 1]
  std::vector<std::uint32_t> place;  // [rows][used]: where a row's experts have it, in their order
};

// Adds a vector of each expert to all of its rows, where the model has one.
void add_expert_bias(const Device& device, const WeightStore& store, Role role, int layer,
                     const Assignments& work, std::span<float> values) {
  if (!store.contains({role, layer})) return;
  const std::size_t width = values.size() / work.row.size();
  const std::uint64_t experts = work.begin.size() - 1;
  const std::uint64_t grain = work.row.size() <= kRowsAPiece ? experts : 1;
  device.pool.for_ranges(experts, grain, [&](std::uint64_t first, std::uint64_t last) {
    thread_local FloatBuffer bias;
    bias.resize(width);
    for (std::uint64_t e = first; e < last; ++e) {
      if (work.begin[e] == work.begin[e + 1]) continue;
      const WeightLease lease = store.acquire({role, layer, static_cast<int>(e)});
      decode_row(device, lease.view(), 0, bias);
      for (std::size_t i = work.begin[e]; i < work.begin[e + 1]; ++i) {
        float* to = values.data() + i * width;
        for (std::size_t c = 0; c < width; ++c) to[c] += bias[c];
      }
    }
  });
}

FloatBuffer router_scores(const Device& device, const WeightStore& store, int layer, Rows x,
                          LinearTap* tap) {
  FloatBuffer scores(x.count * store.config().experts);
  const TensorKey key{Role::kRouter, layer};
  if (tap != nullptr) {
    std::vector<std::uint32_t> numbers(x.count);
    std::iota(numbers.begin(), numbers.end(), 0u);
    tap->input({&key, 1}, x, numbers);
  }
  const WeightLease router = store.acquire(key);
  linear(device, router.view(), x, scores);
  return scores;
}

// `bias` is the router's, or empty.
Assignments assign(const Device& device, const model::ModelConfig& config,
                   std::span<const float> bias, std::span<float> scores, std::size_t rows) {
  const std::size_t used = config.experts_used;
  std::vector<std::uint32_t> chosen(rows * used);
  std::vector<float> weight(rows * used);
  Assignments work;
  work.begin.assign(config.experts + 1, 0);
  device.pool.for_ranges(rows, kRowsAPiece, [&](std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t m = first; m < last; ++m) {
      const auto own = scores.subspan(m * config.experts, config.experts);
      for (std::size_t e = 0; e < bias.size(); ++e) own[e] += bias[e];
      choose_experts(config, own, std::span(chosen).subspan(m * used, used),
                     std::span(weight).subspan(m * used, used));
    }
  });
  for (const std::uint32_t expert : chosen) ++work.begin[expert + 1];
  std::partial_sum(work.begin.begin(), work.begin.end(), work.begin.begin());
  work.row.resize(chosen.size());
  work.weight.resize(chosen.size());
  work.place.resize(chosen.size());
  std::vector<std::uint32_t> next(work.begin.begin(), work.begin.end() - 1);
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const std::uint32_t at = next[chosen[i]]++;
    work.row[at] = static_cast<std::uint32_t>(i / used);
    work.weight[at] = weight[i];
    work.place[i] = at;
  }
  return work;
}

// The keys of these roles for every busy expert, role by role.
std::vector<TensorKey> keys_of(std::initializer_list<Role> roles, int layer,
                               const Assignments& work) {
  std::vector<TensorKey> keys;
  for (const Role role : roles) {
    for (std::size_t e = 0; e + 1 < work.begin.size(); ++e) {
      if (work.begin[e] < work.begin[e + 1]) keys.push_back({role, layer, static_cast<int>(e)});
    }
  }
  return keys;
}

// One product for each busy expert: its rows of `x` [assignments][cols] to its rows of the output.
class ExpertProducts {
 public:
  // Leases the matrices of all roles together.
  ExpertProducts(const WeightStore& store, std::initializer_list<Role> roles, int layer,
                 const Assignments& work)
      : work_(work), keys_(keys_of(roles, layer, work)) {
    store.acquire(keys_, leases_);
  }

  void add(Role role, std::span<const float> x, std::span<float> out) {
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      if (keys_[i].role != role) continue;
      const auto e = static_cast<std::size_t>(keys_[i].expert);
      const std::size_t first = work_.begin[e], count = work_.begin[e + 1] - first;
      const WeightView& view = leases_[i].view();
      jobs_.push_back({view,
                       {x.subspan(first * view.cols, count * view.cols), count},
                       out.subspan(first * view.rows, count * view.rows)});
    }
  }
  void run(const Device& device) const { linear(device, jobs_); }
  // Every busy expert's rows of `x` with its matrices of all roles.
  void tell(LinearTap& tap, std::span<const float> x) const {
    const std::size_t width = x.size() / work_.row.size();
    for (std::size_t e = 0; e + 1 < work_.begin.size(); ++e) {
      const std::size_t first = work_.begin[e], count = work_.begin[e + 1] - first;
      if (count == 0) continue;
      std::vector<TensorKey> matrices;
      for (const TensorKey& key : keys_) {
        if (key.expert == static_cast<int>(e)) matrices.push_back(key);
      }
      tap.input(matrices, {x.subspan(first * width, count * width), count},
                std::span(work_.row).subspan(first, count));
    }
  }

 private:
  const Assignments& work_;
  std::vector<TensorKey> keys_;
  std::vector<WeightLease> leases_;
  std::vector<LinearJob> jobs_;
};

}  // namespace

void choose_experts(const model::ModelConfig& config, std::span<float> scores,
                    std::span<std::uint32_t> experts, std::span<float> weights) {
  PJ_CHECK(scores.size() == config.experts && experts.size() == config.experts_used);
  const bool all_first = config.router == model::RouterKind::kSoftmaxThenTop;
  if (all_first) kernels::softmax(scores);
  thread_local std::vector<std::uint32_t> order;
  order.resize(scores.size());
  std::iota(order.begin(), order.end(), 0);
  const auto better = [&](std::uint32_t a, std::uint32_t b) {
    return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(experts.size()),
                    order.end(), better);
  std::copy_n(order.begin(), experts.size(), experts.begin());
  std::sort(experts.begin(), experts.end());
  for (std::size_t i = 0; i < experts.size(); ++i) weights[i] = scores[experts[i]];
  if (!all_first) {
    kernels::softmax(weights);
  } else if (config.router_renormalises) {
    double sum = 0;
    for (const float w : weights) sum += static_cast<double>(w);
    for (float& w : weights) w = static_cast<float>(static_cast<double>(w) / sum);
  }
}

void activate(const Device& device, const model::ModelConfig& config, std::span<float> gate,
              std::span<const float> up) {
  device.pool.for_ranges(gate.size(), 2048, [&](std::uint64_t first, std::uint64_t last) {
    const auto g = gate.subspan(first, last - first);
    const auto u = up.subspan(first, last - first);
    if (config.activation == model::Activation::kClampedSwiGlu) {
      kernels::clamped_swiglu(g, u, static_cast<float>(config.swiglu_limit));
    } else {
      kernels::silu_multiply(g, u);
    }
  });
}

void mix_experts(const Device& device, const WeightStore& store, const Constants& constants,
                 int layer, Rows x, std::span<float> out, LinearTap* tap) {
  const model::ModelConfig& config = store.config();
  FloatBuffer scores = router_scores(device, store, layer, x, tap);
  const Assignments work =
      assign(device, config, constants.of({Role::kRouterBias, layer}), scores, x.count);
  const std::size_t count = work.row.size(), width = config.hidden;
  FloatBuffer in(count * width);
  device.pool.for_ranges(count, kRowsAPiece, [&](std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t i = from; i < to; ++i) {
      std::copy_n(x.values.data() + work.row[i] * width, width, in.data() + i * width);
    }
  });
  FloatBuffer gate(count * config.expert_ffn), up(count * config.expert_ffn);
  ExpertProducts first(store, {Role::kExpertGate, Role::kExpertUp}, layer, work);
  // On their way while gate and up are computed.
  store.prefetch(keys_of({Role::kExpertDown, Role::kExpertDownBias}, layer, work));
  first.add(Role::kExpertGate, in, gate);
  first.add(Role::kExpertUp, in, up);
  if (tap != nullptr) first.tell(*tap, in);
  first.run(device);
  add_expert_bias(device, store, Role::kExpertGateBias, layer, work, gate);
  add_expert_bias(device, store, Role::kExpertUpBias, layer, work, up);
  activate(device, config, gate, up);
  ExpertProducts second(store, {Role::kExpertDown}, layer, work);
  second.add(Role::kExpertDown, gate, in);  // `in` has been used up, and has the size
  if (tap != nullptr) second.tell(*tap, gate);
  second.run(device);
  add_expert_bias(device, store, Role::kExpertDownBias, layer, work, in);
  device.pool.for_ranges(x.count, kRowsAPiece, [&](std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t m = from; m < to; ++m) {
      const auto own = out.subspan(m * width, width);
      std::ranges::fill(own, 0.0f);
      for (std::size_t k = 0; k < config.experts_used; ++k) {
        const std::uint32_t i = work.place[m * config.experts_used + k];
        const float* row = in.data() + i * width;
        for (std::size_t c = 0; c < width; ++c) own[c] += work.weight[i] * row[c];
      }
    }
  });
}

std::uint64_t expert_work_bytes(const model::ModelConfig& config, std::uint64_t rows) {
  const std::uint64_t assigned = checked_mul(rows, config.experts_used);
  const std::uint64_t floats =
      checked_add(checked_mul(assigned, config.hidden + 2 * config.expert_ffn),
                  checked_mul(rows, config.experts));
  return checked_mul(floats, sizeof(float));
}

}  // namespace pajamas::runtime
