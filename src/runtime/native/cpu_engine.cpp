#include "runtime/native/cpu_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <numeric>

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
      kv_type_(kv_type) {
  static std::atomic<std::uint64_t> engines{0};
  number_ = engines.fetch_add(1, std::memory_order_relaxed);
}

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

void CpuEngine::forget(SessionId id, std::uint64_t layer) {
  PJ_CHECK(layer < config().layers);
  session(id).forget(layer);
}

std::uint64_t CpuEngine::bytes(SessionId id) const { return session(id).bytes(); }

CpuEngine::CpuHidden::CpuHidden(std::uint64_t of_engine, Batch batch,
                                const model::ModelConfig& config)
    : engine(of_engine),
      count(batch.size()),
      cols(config.hidden),
      half(config.head_dim / 2),
      values(count * cols),
      cos(count * half),
      sin(count * half),
      numbers(count) {
  std::iota(numbers.begin(), numbers.end(), 0u);
  std::map<SessionId, std::size_t> known;
  for (const BatchRow& row : batch) {
    const auto [at, is_new] = known.try_emplace(row.session, sessions.size());
    if (is_new) sessions.push_back({row.session, row.position, row.position});
    PJ_CHECK(row.position == sessions[at->second].end);
    ++sessions[at->second].end;
  }
}

void CpuEngine::require_own(const CpuHidden* hidden) const {
  if (hidden != nullptr && hidden->engine == number_) return;
  throw Error(ErrorCode::kUsage, "these activations are those of another engine",
              "read them and restore them");
}

const CpuEngine::CpuHidden& CpuEngine::own(const Hidden& hidden) const {
  const auto* const rows = dynamic_cast<const CpuHidden*>(&hidden);
  require_own(rows);
  return *rows;
}

CpuEngine::CpuHidden& CpuEngine::own(Hidden& hidden) const {
  auto* const rows = dynamic_cast<CpuHidden*>(&hidden);
  require_own(rows);
  return *rows;
}

std::unique_ptr<CpuEngine::CpuHidden> CpuEngine::begin(Batch batch) const {
  PJ_CHECK(!batch.empty() && batch.size() <= kMaxBatch);
  auto hidden = std::make_unique<CpuHidden>(number_, batch, config());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    kernels::rope_angles(batch[i].position, rope_.frequencies, rope_.factor,
                         std::span(hidden->cos).subspan(i * hidden->half, hidden->half),
                         std::span(hidden->sin).subspan(i * hidden->half, hidden->half));
  }
  return hidden;
}

std::unique_ptr<Hidden> CpuEngine::embed(Batch batch) {
  for (const BatchRow& row : batch) {
    if (row.token >= 0 && static_cast<std::uint64_t>(row.token) < config().vocab) continue;
    throw Error(
        ErrorCode::kUsage,
        fmt::format("token {} is beyond the model's vocabulary of {}", row.token, config().vocab),
        "the tokenizer does not belong to this model");
  }
  std::unique_ptr<CpuHidden> hidden = begin(batch);
  const WeightLease lease = store_->acquire({Role::kTokenEmbedding});
  for (std::size_t i = 0; i < batch.size(); ++i) {
    decode_row(device_, lease.view(), static_cast<std::uint64_t>(batch[i].token), hidden->row(i));
  }
  return hidden;
}

std::unique_ptr<Hidden> CpuEngine::restore(Batch batch, std::span<const float> rows) {
  PJ_CHECK(rows.size() == batch.size() * config().hidden);
  std::unique_ptr<CpuHidden> hidden = begin(batch);
  std::ranges::copy(rows, hidden->values.begin());
  return hidden;
}

// Nothing counts before the layer is through, so that a batch is in all of its sessions or in none.
void CpuEngine::make_room(std::uint64_t layer, const CpuHidden& hidden) {
  for (const SessionRows& rows : hidden.sessions) {
    PJ_CHECK(session(rows.session).length(layer) == rows.first);
  }
  try {
    for (const SessionRows& rows : hidden.sessions)
      session(rows.session).make_room(layer, rows.end);
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::kOutOfMemory, "no memory is left for keys and values",
                "use a smaller --ctx");
  }
}

void CpuEngine::layer(std::uint64_t index, Hidden& hidden, Batch batch, LinearTap* tap) {
  CpuHidden& rows = own(hidden);
  PJ_CHECK(rows.count == batch.size() && index < config().layers);
  make_room(index, rows);
  attention(static_cast<int>(index), rows, batch, tap);
  feed_forward(static_cast<int>(index), rows, tap);
  for (const SessionRows& of : rows.sessions) session(of.session).count(index, of.end);
}

FloatBuffer CpuEngine::normed(TensorKey norm, std::span<const float> rows) const {
  const std::span<const float> weight = constants_.of(norm);
  FloatBuffer out(rows.size());
  const std::size_t width = weight.size();
  device_.pool.for_ranges(
      rows.size() / width, kRowsAPiece, [&](std::uint64_t first, std::uint64_t last) {
        for (std::uint64_t i = first; i < last; ++i) {
          kernels::rms_norm(rows.subspan(i * width, width), weight, config().norm_eps,
                            std::span(out).subspan(i * width, width));
        }
      });
  return out;
}

std::vector<FloatBuffer> CpuEngine::project(std::span<const TensorKey> keys, Rows x,
                                            std::span<const std::uint32_t> numbers,
                                            LinearTap* tap) const {
  if (tap != nullptr) tap->input(keys, x, numbers);
  std::vector<WeightLease> leases;
  store_->acquire(keys, leases);
  std::vector<FloatBuffer> out;
  std::vector<LinearJob> jobs;
  for (const WeightLease& lease : leases) out.emplace_back(x.count * lease.view().rows);
  for (std::size_t i = 0; i < keys.size(); ++i) jobs.push_back({leases[i].view(), x, out[i]});
  linear(device_, jobs);
  return out;
}

void CpuEngine::add_bias(TensorKey key, std::span<float> rows) const {
  const std::span<const float> bias = constants_.of(key);
  if (bias.empty()) return;
  const std::size_t width = bias.size();
  device_.pool.for_ranges(rows.size() / width, kRowsAPiece,
                          [&](std::uint64_t first, std::uint64_t last) {
                            for (std::uint64_t i = first; i < last; ++i) {
                              for (std::size_t j = 0; j < width; ++j)
                                rows[i * width + j] += bias[j];
                            }
                          });
}

// A projection's output, to the residual stream.
void CpuEngine::add(CpuHidden& hidden, std::span<const float> update) const {
  device_.pool.for_ranges(update.size(), kFloatsAPiece,
                          [&](std::uint64_t first, std::uint64_t last) {
                            for (std::uint64_t i = first; i < last; ++i) {
                              hidden.values[i] += update[i];
                            }
                          });
}

void CpuEngine::feed_forward(int layer, CpuHidden& hidden, LinearTap* tap) const {
  const FloatBuffer x = normed({Role::kFfnNorm, layer}, hidden.values);
  if (config().is_sparse(static_cast<std::uint64_t>(layer))) {
    FloatBuffer mixed(x.size());
    mix_experts(device_, *store_, constants_, layer, {x, hidden.count}, mixed, tap);
    add(hidden, mixed);
    return;
  }
  const std::array gate_up{TensorKey{Role::kFfnGate, layer}, TensorKey{Role::kFfnUp, layer}};
  const std::array down{TensorKey{Role::kFfnDown, layer}};
  store_->prefetch(down);
  std::vector<FloatBuffer> products = project(gate_up, {x, hidden.count}, hidden.numbers, tap);
  FloatBuffer& gate = products[0];
  activate(device_, config(), gate, products[1]);
  add(hidden, project(down, {gate, hidden.count}, hidden.numbers, tap)[0]);
}

void CpuEngine::logits(const Hidden& hidden, std::span<const std::size_t> rows,
                       std::span<float> out, LinearTap* tap) {
  const CpuHidden& from = own(hidden);
  FloatBuffer chosen(rows.size() * from.cols);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::ranges::copy(from.row(rows[i]),
                      chosen.begin() + static_cast<std::ptrdiff_t>(i * from.cols));
  }
  const FloatBuffer x = normed({Role::kOutputNorm}, chosen);
  const TensorKey own_matrix{Role::kOutput};
  const TensorKey output =
      store_->contains(own_matrix) ? own_matrix : TensorKey{Role::kTokenEmbedding};
  if (tap != nullptr) {
    const std::vector<std::uint32_t> numbers(rows.begin(), rows.end());
    tap->input({&output, 1}, {x, rows.size()}, numbers);
  }
  const WeightLease lease = store_->acquire(output);
  linear(device_, lease.view(), {x, rows.size()}, out);
}

}  // namespace pajamas::runtime
