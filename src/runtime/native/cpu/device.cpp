#include "runtime/native/cpu/device.h"

#include <algorithm>
#include <utility>

#include "base/cpu.h"
#include "kernels/math.h"
#include "runtime/native/cpu/kv_rows.h"

namespace pajamas::runtime {

using model::Role;
using model::TensorKey;

CpuDevice::CpuDevice(std::shared_ptr<const weights::WeightStore> store, const TaskPool& pool,
                     const kernels::KernelTable& table, Activations activations)
    : store_(std::move(store)),
      processor_{table, pool,
                 activations == Activations::kInt8 ? &table.int8(cpu_features()) : nullptr},
      constants_(table, *store_),
      rope_(model::rope_table(store_->config())) {}

void CpuDevice::write(std::span<const float> from, FloatView to) {
  std::ranges::copy(from, host_numbers(to).begin());
}

std::span<const float> CpuDevice::read(FloatView from, std::vector<float>&) {
  return host_numbers(from);
}

std::span<const std::uint32_t> CpuDevice::read(NumberView from, std::vector<std::uint32_t>&) {
  return host_numbers(from);
}

void CpuDevice::lease() {
  leases_.clear();
  store_->acquire(keys_, leases_);
}

void CpuDevice::embed(Batch batch, FloatView out) {
  keys_.assign({TensorKey{Role::kTokenEmbedding}});
  lease();
  for (std::size_t i = 0; i < batch.size(); ++i) {
    decode_row(processor_.kernels, leases_[0].view(), static_cast<std::uint64_t>(batch[i].token),
               host_numbers(out.row(i)));
  }
  leases_.clear();
}

void CpuDevice::angles(Batch batch, const Rotation& out) {
  for (std::size_t i = 0; i < batch.size(); ++i) {
    kernels::rope_angles(batch[i].position, rope_.frequencies, rope_.factor,
                         host_numbers(out.cos.row(i)), host_numbers(out.sin.row(i)));
  }
}

void CpuDevice::norm(TensorKey weight, FloatView x, FloatView out) {
  const std::span<const float> gains = constants_.of(weight);
  processor_.pool.for_ranges(x.rows, kRowsAPiece, [&](std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t i = first; i < last; ++i) {
      kernels::rms_norm(host_numbers(x.row(i)), gains, config().norm_eps, host_numbers(out.row(i)));
    }
  });
}

void CpuDevice::linear(FloatView x, std::span<const Projection> products) {
  keys_.clear();
  for (const Projection& product : products) keys_.push_back(product.matrix);
  lease();
  jobs_.clear();
  for (std::size_t i = 0; i < products.size(); ++i) {
    jobs_.push_back({leases_[i].view(), {host_numbers(x), x.rows}, host_numbers(products[i].out)});
  }
  runtime::linear(processor_, jobs_, linear_);
  leases_.clear();
  for (const Projection& product : products) {
    if (product.bias) {
      add_bias({*product.bias, product.matrix.layer}, host_numbers(product.out));
    }
  }
}

void CpuDevice::logits(TensorKey matrix, FloatView x, std::span<float> out) {
  keys_.assign({matrix});
  lease();
  jobs_.clear();
  jobs_.push_back({leases_[0].view(), {host_numbers(x), x.rows}, out});
  runtime::linear(processor_, jobs_, linear_);
  leases_.clear();
}

void CpuDevice::add_bias(TensorKey key, std::span<float> rows) {
  const std::span<const float> bias = constants_.of(key);
  if (bias.empty()) return;
  const std::size_t width = bias.size();
  processor_.pool.for_ranges(rows.size() / width, kRowsAPiece,
                             [&](std::uint64_t first, std::uint64_t last) {
                               for (std::uint64_t i = first; i < last; ++i) {
                                 for (std::size_t j = 0; j < width; ++j)
                                   rows[i * width + j] += bias[j];
                               }
                             });
}

void CpuDevice::rotate(TensorKey norm, const Rotation& by, FloatView heads) {
  const std::span<const float> gains = constants_.of(norm);
  const std::size_t dim = config().head_dim;
  const auto turn = config().rope_interleaved ? kernels::rope_interleaved : kernels::rope;
  processor_.pool.for_ranges(heads.rows, kRowsAPiece, [&](std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t i = first; i < last; ++i) {
      const std::span<float> row = host_numbers(heads.row(i));
      const std::span<const float> cos = host_numbers(by.cos.row(i));
      const std::span<const float> sin = host_numbers(by.sin.row(i));
      for (std::size_t at = 0; at < row.size(); at += dim) {
        const std::span<float> head = row.subspan(at, dim);
        if (!gains.empty()) kernels::rms_norm(head, gains, config().norm_eps, head);
        turn(head, cos, sin);
      }
    }
  });
}

void CpuDevice::store(int layer, std::span<const KvRun> runs, FloatView keys, FloatView values) {
  const auto is_before = [](std::uint64_t row, const KvRun& run) { return row < run.first; };
  processor_.pool.for_ranges(keys.rows, kRowsAPiece, [&](std::uint64_t first, std::uint64_t last) {
    auto run = std::upper_bound(runs.begin(), runs.end(), first, is_before) - 1;
    for (std::uint64_t i = first; i < last; ++i) {
      if (i == run->first + run->count) ++run;
      store_position(processor_.kernels, *run->cache, static_cast<std::uint64_t>(layer),
                     run->position + static_cast<std::uint32_t>(i - run->first),
                     host_numbers(keys.row(i)), host_numbers(values.row(i)));
    }
  });
}

void CpuDevice::attend(int layer, std::span<const KvRun> runs, FloatView queries, FloatView out) {
  const auto index = static_cast<std::uint64_t>(layer);
  const std::size_t group = config().heads / config().kv_heads;
  const std::size_t stride = config().q_rows(), width = group * config().head_dim;
  const std::uint64_t window = config().window(index);
  const std::span<const float> sinks = constants_.of({Role::kAttnSinks, layer});
  tasks_.clear();
  for (const KvRun& run : runs) {
    for (std::size_t done = 0; done < run.count; done += kTileRows) {
      const std::size_t rows = std::min(kTileRows, run.count - done);
      for (std::uint64_t head = 0; head < config().kv_heads; ++head) {
        const auto own_sinks = sinks.empty() ? sinks : sinks.subspan(head * group, group);
        const std::size_t at = (run.first + done) * stride + head * width;
        tasks_.push_back({{*run.cache, index, head, run.position + static_cast<std::uint32_t>(done),
                           rows, group, window, own_sinks},
                          host_numbers(queries).data() + at,
                          host_numbers(out).data() + at});
      }
    }
  }
  runtime::attend(processor_, tasks_, stride, attention_);
}

void CpuDevice::activate(FloatView gate, FloatView up) {
  runtime::activate(processor_, config(), host_numbers(gate), host_numbers(up));
}

void CpuDevice::add(FloatView x, FloatView to) {
  const std::span<const float> from = host_numbers(x);
  const std::span<float> sums = host_numbers(to);
  processor_.pool.for_ranges(sums.size(), kFloatsAPiece,
                             [&](std::uint64_t first, std::uint64_t last) {
                               for (std::uint64_t i = first; i < last; ++i) sums[i] += from[i];
                             });
}

void CpuDevice::route(FloatView scores, const Routing& out) {
  runtime::route(processor_, config(), host_numbers(scores), HostRouting(out), route_);
}

void CpuDevice::gather(const Routing& routing, FloatView x, FloatView out) {
  runtime::gather(processor_, HostRouting(routing), host_numbers(x), host_numbers(out));
}

void CpuDevice::combine(const Routing& routing, FloatView x, FloatView out) {
  runtime::combine(processor_, HostRouting(routing), host_numbers(x), host_numbers(out));
}

void CpuDevice::name_busy(const HostRouting& routing, std::span<const TensorKey> stacks) {
  keys_.clear();
  for (const TensorKey& stack : stacks) {
    for (std::size_t e = 0; e < routing.experts(); ++e) {
      if (routing.is_busy(e)) keys_.push_back({stack.role, stack.layer, static_cast<int>(e)});
    }
  }
}

void CpuDevice::expert_linear(const Routing& routing, FloatView x,
                              std::span<const Projection> products,
                              std::span<const TensorKey> next) {
  const HostRouting work(routing);
  stacks_.clear();
  for (const Projection& product : products) stacks_.push_back(product.matrix);
  name_busy(work, stacks_);
  lease();
  jobs_.clear();
  const std::size_t busy = keys_.size() / products.size();
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    const auto e = static_cast<std::size_t>(keys_[i].expert);
    const std::size_t first = work.begin[e], count = work.begin[e + 1] - first;
    const weights::WeightView& view = leases_[i].view();
    jobs_.push_back(
        {view,
         {host_numbers(x).subspan(first * view.cols, count * view.cols), count},
         host_numbers(products[i / busy].out).subspan(first * view.rows, count * view.rows)});
  }
  name_busy(work, next);
  store_->prefetch(keys_);
  runtime::linear(processor_, jobs_, linear_);
  for (const Projection& product : products) {
    if (product.bias) {
      add_expert_bias(work, {*product.bias, product.matrix.layer}, host_numbers(product.out));
    }
  }
  leases_.clear();
}

void CpuDevice::add_expert_bias(const HostRouting& routing, TensorKey stack,
                                std::span<float> rows) {
  if (!store_->contains(stack)) return;
  name_busy(routing, {&stack, 1});
  lease();
  const std::size_t width = rows.size() / routing.count();
  const std::uint64_t grain = routing.count() <= kRowsAPiece ? keys_.size() : 1;
  processor_.pool.for_ranges(keys_.size(), grain, [&](std::uint64_t first, std::uint64_t last) {
    thread_local FloatBuffer bias;
    bias.resize(width);
    for (std::uint64_t k = first; k < last; ++k) {
      const auto e = static_cast<std::size_t>(keys_[k].expert);
      decode_row(processor_.kernels, leases_[k].view(), 0, bias);
      for (std::size_t i = routing.begin[e]; i < routing.begin[e + 1]; ++i) {
        float* to = rows.data() + i * width;
        for (std::size_t c = 0; c < width; ++c) to[c] += bias[c];
      }
    }
  });
}

void CpuDevice::take(FloatView x, std::span<const std::size_t> rows, FloatView out) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::ranges::copy(host_numbers(x.row(rows[i])), host_numbers(out.row(i)).begin());
  }
}

}  // namespace pajamas::runtime
