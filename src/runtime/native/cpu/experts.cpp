#include "runtime/native/cpu/experts.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "kernels/math.h"
#include "runtime/native/cpu/host_memory.h"

namespace pajamas::runtime {

HostRouting::HostRouting(const Routing& routing) noexcept
    : rows(host_numbers(routing.rows)),
      weights(host_numbers(routing.weights)),
      begin(host_numbers(routing.begin)),
      places(host_numbers(routing.places)) {}

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

void activate(const Processor& processor, const model::ModelConfig& config, std::span<float> gate,
              std::span<const float> up) {
  processor.pool.for_ranges(gate.size(), 2048, [&](std::uint64_t first, std::uint64_t last) {
    const auto g = gate.subspan(first, last - first);
    const auto u = up.subspan(first, last - first);
    if (config.activation == model::Activation::kClampedSwiGlu) {
      kernels::clamped_swiglu(g, u, static_cast<float>(config.swiglu_limit));
    } else {
      kernels::silu_multiply(g, u);
    }
  });
}

void route(const Processor& processor, const model::ModelConfig& config, std::span<float> scores,
           const HostRouting& out, RouteScratch& scratch) {
  const std::size_t used = config.experts_used, rows = out.count() / used;
  scratch.chosen.resize(out.count());
  scratch.weights.resize(out.count());
  processor.pool.for_ranges(rows, kRowsAPiece, [&](std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t m = first; m < last; ++m) {
      choose_experts(config, scores.subspan(m * config.experts, config.experts),
                     std::span(scratch.chosen).subspan(m * used, used),
                     std::span(scratch.weights).subspan(m * used, used));
    }
  });
  std::ranges::fill(out.begin, 0u);
  for (const std::uint32_t expert : scratch.chosen) ++out.begin[expert + 1];
  std::partial_sum(out.begin.begin(), out.begin.end(), out.begin.begin());
  scratch.next.assign(out.begin.begin(), out.begin.end() - 1);
  for (std::size_t i = 0; i < scratch.chosen.size(); ++i) {
    const std::uint32_t at = scratch.next[scratch.chosen[i]]++;
    out.rows[at] = static_cast<std::uint32_t>(i / used);
    out.weights[at] = scratch.weights[i];
    out.places[i] = at;
  }
}

void gather(const Processor& processor, const HostRouting& routing, std::span<const float> x,
            std::span<float> out) {
  const std::size_t width = out.size() / routing.count();
  processor.pool.for_ranges(
      routing.count(), kRowsAPiece, [&](std::uint64_t first, std::uint64_t last) {
        for (std::uint64_t i = first; i < last; ++i) {
          std::copy_n(x.data() + routing.rows[i] * width, width, out.data() + i * width);
        }
      });
}

void combine(const Processor& processor, const HostRouting& routing, std::span<const float> x,
             std::span<float> out) {
  const std::size_t width = x.size() / routing.count(), rows = out.size() / width;
  const std::size_t used = routing.count() / rows;
  processor.pool.for_ranges(rows, kRowsAPiece, [&](std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t m = first; m < last; ++m) {
      const auto own = out.subspan(m * width, width);
      std::ranges::fill(own, 0.0f);
      for (std::size_t k = 0; k < used; ++k) {
        const std::uint32_t i = routing.places[m * used + k];
        const float* row = x.data() + i * width;
        for (std::size_t c = 0; c < width; ++c) own[c] += routing.weights[i] * row[c];
      }
    }
  });
}

}  // namespace pajamas::runtime
