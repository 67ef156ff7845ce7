#include "runtime/native/cpu_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/error.h"
#include "kernels/math.h"
#include "runtime/native/cpu_hidden.h"
#include "runtime/native/experts.h"

namespace pajamas::runtime {

using model::Role;
using model::TensorKey;
using weights::WeightLease;

CpuEngine::CpuEngine(std::shared_ptr<const weights::WeightStore> store, const TaskPool& pool,
                     const kernels::KernelTable& table, KvType kv_type, Activations activations)
    : store_(std::move(store)),
      device_{table, pool,
              activations == Activations::kInt8 ? &table.int8(cpu_features()) : nullptr},
      constants_(device_, *store_),
      rope_(model::rope_table(store_->config())),
      kv_type_(kv_type) {}

std::uint64_t CpuEngine::work_bytes(const model::ModelConfig& config) {
  // Per row of a batch: residual, norm, update, queries, attention, keys, values, gate and up.
  const std::uint64_t row =
      3 * config.hidden + 2 * config.q_rows() + 2 * config.kv_rows() + 2 * config.ffn;
  const std::uint64_t work = checked_mul(kMaxBatch * sizeof(float), row);
  const std::uint64_t experts = expert_work_bytes(config, kMaxBatch);
  return checked_add(checked_add(work, experts), checked_mul(config.vocab, sizeof(float)));
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
  sessions_.try_emplace(next_session_, config(), kv_type_);
  return next_session_++;
}

SessionId CpuEngine::fork(SessionId from) {
  sessions_.emplace(next_session_, session(from));
  return next_session_++;
}

std::uint32_t CpuEngine::truncate(SessionId id, std::uint32_t length) {
  return session(id).truncate(length);
}

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
  const WeightLease lease = store_->acquire({Role::kTokenEmbedding});
  for (std::size_t i = 0; i < batch.size(); ++i) {
    decode_row(device_, lease.view(), static_cast<std::uint64_t>(batch[i].token), hidden->row(i));
    kernels::rope_angles(batch[i].position, rope_.frequencies, rope_.factor,
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

FloatBuffer CpuEngine::normed(TensorKey norm, std::span<const float> rows) const {
  const std::span<const float> weight = constants_.of(norm);
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

std::vector<FloatBuffer> CpuEngine::project(std::span<const Role> roles, int layer, Rows x) const {
  std::vector<TensorKey> keys;
  for (const Role role : roles) keys.push_back({role, layer});
  std::vector<WeightLease> leases;
  store_->acquire(keys, leases);
  std::vector<FloatBuffer> out;
  std::vector<LinearJob> jobs;
  for (const WeightLease& lease : leases) out.emplace_back(x.count * lease.view().rows);
  for (std::size_t i = 0; i < roles.size(); ++i) jobs.push_back({leases[i].view(), x, out[i]});
  linear(device_, jobs);
  return out;
}

FloatBuffer CpuEngine::project(TensorKey key, Rows x) const {
  return std::move(project(std::span(&key.role, 1), key.layer, x).front());
}

void CpuEngine::add_bias(TensorKey key, std::span<float> rows) const {
  const std::span<const float> bias = constants_.of(key);
  if (bias.empty()) return;
  for (std::size_t i = 0; i < rows.size(); i += bias.size()) {
    for (std::size_t j = 0; j < bias.size(); ++j) rows[i + j] += bias[j];
  }
}

void CpuEngine::feed_forward(int layer, CpuHidden& hidden) const {
  const FloatBuffer x = normed({Role::kFfnNorm, layer}, hidden.values);
  if (config().is_sparse(static_cast<std::uint64_t>(layer))) {
    FloatBuffer mixed(x.size());
    mix_experts(device_, *store_, constants_, layer, {x, hidden.count}, mixed);
    hidden.add(mixed);
    return;
  }
  const TensorKey down{Role::kFfnDown, layer};
  store_->prefetch({&down, 1});
  constexpr std::array kRoles{Role::kFfnGate, Role::kFfnUp};
  std::vector<FloatBuffer> gate_up = project(kRoles, layer, {x, hidden.count});
  FloatBuffer& gate = gate_up[0];
  activate(device_, config(), gate, gate_up[1]);
  hidden.add(project(down, {gate, hidden.count}));
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
      store_->acquire(store_->contains(output) ? output : TensorKey{Role::kTokenEmbedding});
  linear(device_, lease.view(), {x, rows.size()}, out);
}

}  // namespace pajamas::runtime
