#include "runtime/native/cpu_engine.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"
#include "kernels/math.h"
#include "runtime/native/attention.h"
#include "runtime/native/experts.h"

namespace pajamas::runtime {

using model::Role;
using model::TensorKey;

class CpuEngine::CpuHidden final : public Hidden {
 public:
  CpuHidden(std::size_t rows, const model::ModelConfig& config)
      : count(rows),
        width(config.hidden),
        half(config.head_dim / 2),
        values(rows * config.hidden),
        cos(rows * half),
        sin(rows * half) {}

  std::size_t rows() const noexcept override { return count; }
  void read_row(std::size_t row, std::span<float> out) const override {
    std::copy_n(values.data() + row * width, width, out.data());
  }

  std::span<float> row(std::size_t i) noexcept {
    return std::span(values).subspan(i * width, width);
  }
  std::span<const float> row(std::size_t i) const noexcept {
    return std::span(values).subspan(i * width, width);
  }
  // Adds a projection's output to the residual stream.
  void add(std::span<const float> update) noexcept {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] += update[i];
  }

  std::size_t count;
  std::size_t width;
  std::size_t half;    // pairs of one head that rope turns
  FloatBuffer values;  // [rows][hidden]
  FloatBuffer cos;     // [rows][half]
  FloatBuffer sin;     // [rows][half]
};

CpuEngine::CpuEngine(std::unique_ptr<const WeightStore> weights, const TaskPool& pool,
                     const kernels::KernelTable& table)
    : weights_(std::move(weights)), device_{table, pool} {}

std::uint64_t CpuEngine::memory_for(const model::ModelConfig& config, std::uint64_t positions) {
  // Per row of a batch: residual, norm, update, queries, attention, keys, values, gate and up.
  const std::uint64_t row =
      3 * config.hidden + 2 * config.q_rows() + 2 * config.kv_rows() + 2 * config.ffn;
  const std::uint64_t work = checked_mul(kMaxBatch * sizeof(float), row);
  const std::uint64_t experts = expert_work_bytes(config, kMaxBatch);
  return checked_add(
      KvCache::bytes_for(config, positions),
      checked_add(checked_add(work, experts), checked_mul(config.vocab, sizeof(float))));
}

KvCache& CpuEngine::session(SessionId id) {
  const auto at = sessions_.find(id);
  PJ_CHECK(at != sessions_.end());
  return at->second;
}

const KvCache& CpuEngine::session(SessionId id) const {
  const auto at = sessions_.find(id);
  PJ_CHECK(at != sessions_.end());
  return at->second;
}

SessionId CpuEngine::create_session() {
  sessions_.emplace(next_session_, config());
  return next_session_++;
}

SessionId CpuEngine::fork(SessionId from) {
  sessions_.emplace(next_session_, session(from));
  return next_session_++;
}

void CpuEngine::truncate(SessionId id, std::uint32_t length) { session(id).truncate(length); }
void CpuEngine::release(SessionId id) { sessions_.erase(id); }
std::uint32_t CpuEngine::length(SessionId id) const { return session(id).length(); }

void CpuEngine::admit(Batch batch) {
  PJ_CHECK(!batch.empty() && batch.size() <= kMaxBatch);
  std::map<SessionId, std::uint32_t> lengths;
  for (const BatchRow& row : batch) {
    if (row.token < 0 || static_cast<std::uint64_t>(row.token) >= config().vocab) {
      throw Error(
          ErrorCode::kUsage,
          fmt::format("token {} is beyond the model's vocabulary of {}", row.token, config().vocab),
          "the tokenizer does not belong to this model");
    }
    const auto [at, added] = lengths.try_emplace(row.session, session(row.session).length());
    PJ_CHECK(row.position == at->second);
    ++at->second;
  }
  try {
    for (const auto& [id, length] : lengths) session(id).extend(length);
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::kOutOfMemory, "no memory is left for keys and values",
                "use a smaller --ctx");
  }
}

std::unique_ptr<Hidden> CpuEngine::embed(Batch batch) {
  admit(batch);
  auto hidden = std::make_unique<CpuHidden>(batch.size(), config());
  const WeightLease lease = weights_->acquire({Role::kTokenEmbedding});
  for (std::size_t i = 0; i < batch.size(); ++i) {
    decode_row(device_, lease.view(), static_cast<std::uint64_t>(batch[i].token), hidden->row(i));
    kernels::rope_angles(batch[i].position, config().rope_theta,
                         std::span(hidden->cos).subspan(i * hidden->half, hidden->half),
                         std::span(hidden->sin).subspan(i * hidden->half, hidden->half));
  }
  return hidden;
}

void CpuEngine::layer(std::uint64_t index, Hidden& hidden, Batch batch) {
  auto& rows = static_cast<CpuHidden&>(hidden);
  PJ_CHECK(rows.count == batch.size() && index < config().layers);
  attention(static_cast<int>(index), rows, batch);
  feed_forward(static_cast<int>(index), rows);
}

FloatBuffer CpuEngine::vector_of(TensorKey key) const {
  const WeightLease lease = weights_->acquire(key);
  FloatBuffer values(lease.view().cols);
  decode_row(device_, lease.view(), 0, values);
  return values;
}

FloatBuffer CpuEngine::normed(TensorKey norm, std::span<const float> rows) const {
  const FloatBuffer weight = vector_of(norm);
  FloatBuffer out(rows.size());
  const std::size_t width = weight.size();
  device_.pool.for_ranges(rows.size() / width, 16, [&](std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t i = first; i < last; ++i) {
      kernels::rms_norm(rows.subspan(i * width, width), weight, config().norm_eps,
                        std::span(out).subspan(i * width, width));
    }
  });
  return out;
}

FloatBuffer CpuEngine::project(TensorKey key, Rows x) const {
  const WeightLease lease = weights_->acquire(key);
  FloatBuffer out(x.count * lease.view().rows);
  linear(device_, lease.view(), x, out);
  return out;
}

void CpuEngine::add_bias(TensorKey key, std::span<float> rows) const {
  if (!weights_->contains(key)) return;
  const FloatBuffer bias = vector_of(key);
  for (std::size_t i = 0; i < rows.size(); i += bias.size()) {
    for (std::size_t j = 0; j < bias.size(); ++j) rows[i + j] += bias[j];
  }
}

void CpuEngine::rotate(const CpuHidden& hidden, std::span<float> rows, std::uint64_t heads) const {
  const std::size_t dim = config().head_dim;
  for (std::size_t i = 0; i < hidden.count; ++i) {
    for (std::uint64_t head = 0; head < heads; ++head) {
      kernels::rope(rows.subspan((i * heads + head) * dim, dim),
                    std::span(hidden.cos).subspan(i * hidden.half, hidden.half),
                    std::span(hidden.sin).subspan(i * hidden.half, hidden.half));
    }
  }
}

void CpuEngine::attention(int layer, CpuHidden& hidden, Batch batch) {
  const FloatBuffer x = normed({Role::kAttnNorm, layer}, hidden.values);
  const Rows rows{x, hidden.count};
  FloatBuffer queries = project({Role::kAttnQ, layer}, rows);
  FloatBuffer keys = project({Role::kAttnK, layer}, rows);
  FloatBuffer values = project({Role::kAttnV, layer}, rows);
  add_bias({Role::kAttnQBias, layer}, queries);
  add_bias({Role::kAttnKBias, layer}, keys);
  add_bias({Role::kAttnVBias, layer}, values);
  rotate(hidden, queries, config().heads);
  rotate(hidden, keys, config().kv_heads);
  const std::size_t width = config().kv_rows();
  for (std::size_t i = 0; i < batch.size(); ++i) {
    session(batch[i].session)
        .put(static_cast<std::uint64_t>(layer), batch[i].position,
             std::span(keys).subspan(i * width, width),
             std::span(values).subspan(i * width, width));
  }
  const FloatBuffer mixed = attend_rows(layer, batch, queries);
  hidden.add(project({Role::kAttnOutput, layer}, {mixed, hidden.count}));
}

FloatBuffer CpuEngine::attend_rows(int layer, Batch batch, std::span<const float> queries) const {
  FloatBuffer out(queries.size());
  const std::uint64_t kv_heads = config().kv_heads;
  const std::size_t group = config().heads / kv_heads;
  const std::size_t width = group * config().head_dim;
  // Row and key head of task t; heads of one row lie side by side.
  device_.pool.for_ranges(batch.size() * kv_heads, 1, [&](std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t t = first; t < last; ++t) {
      const BatchRow& row = batch[t / kv_heads];
      attend(*device_.kernels.math,
             {session(row.session), static_cast<std::uint64_t>(layer), t % kv_heads, row.position,
              group, config().head_dim},
             queries.subspan(t * width, width), std::span(out).subspan(t * width, width));
    }
  });
  return out;
}

void CpuEngine::feed_forward(int layer, CpuHidden& hidden) const {
  const FloatBuffer x = normed({Role::kFfnNorm, layer}, hidden.values);
  if (config().is_sparse(static_cast<std::uint64_t>(layer))) {
    FloatBuffer mixed(x.size());
    mix_experts(device_, *weights_, layer, {x, hidden.count}, mixed);
    hidden.add(mixed);
    return;
  }
  FloatBuffer gate = project({Role::kFfnGate, layer}, {x, hidden.count});
  const FloatBuffer up = project({Role::kFfnUp, layer}, {x, hidden.count});
  activate(device_, config(), gate, up);
  hidden.add(project({Role::kFfnDown, layer}, {gate, hidden.count}));
}

void CpuEngine::logits(const Hidden& hidden, std::span<const std::size_t> rows,
                       std::span<float> out) {
  const auto& from = static_cast<const CpuHidden&>(hidden);
  FloatBuffer chosen(rows.size() * from.width);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::ranges::copy(from.row(rows[i]),
                      chosen.begin() + static_cast<std::ptrdiff_t>(i * from.width));
  }
  const FloatBuffer x = normed({Role::kOutputNorm}, chosen);
  const TensorKey output{Role::kOutput};
  const WeightLease lease =
      weights_->acquire(weights_->contains(output) ? output : TensorKey{Role::kTokenEmbedding});
  linear(device_, lease.view(), {x, rows.size()}, out);
}

}  // namespace pajamas::runtime
