#include "runtime/native/engine.h"

#include <fmt/format.h>

#include <atomic>
#include <new>
#include <numeric>

#include "base/bytes.h"
#include "base/error.h"

namespace pajamas::runtime {

NativeEngine::NativeEngine(std::unique_ptr<Device> device, KvType kv_type)
    : device_(std::move(device)),
      work_(*device_, kMaxBatch),
      kv_type_(kv_type),
      pool_(std::make_shared<HiddenPool>()),
      numbers_(kMaxBatch),
      tap_reader_(*device_) {
  static std::atomic<std::uint64_t> engines{0};
  number_ = engines.fetch_add(1, std::memory_order_relaxed);
  std::iota(numbers_.begin(), numbers_.end(), 0u);
}

std::uint64_t NativeEngine::work_bytes(const model::ModelConfig& config) {
  const std::uint64_t hidden =
      checked_mul(kMaxBatch * sizeof(float), checked_add(config.hidden, config.head_dim));
  return checked_add(checked_add(Workspace::bytes_for(config, kMaxBatch), hidden),
                     checked_mul(config.vocab, sizeof(float)));
}

KvCache& NativeEngine::session(SessionId id) {
  const auto at = sessions_.find(id);
  PJ_CHECK(at != sessions_.end());
  return at->second;
}

const KvCache& NativeEngine::session(SessionId id) const {
  const auto at = sessions_.find(id);
  PJ_CHECK(at != sessions_.end());
  return at->second;
}

SessionId NativeEngine::create_session() {
  sessions_.try_emplace(next_session_, *device_, config(), kv_type_);
  return next_session_++;
}

SessionId NativeEngine::fork(SessionId from) {
  sessions_.emplace(next_session_, session(from));
  return next_session_++;
}

std::uint32_t NativeEngine::truncate(SessionId id, std::uint32_t length) {
  return session(id).truncate(length);
}

void NativeEngine::release(SessionId id) { sessions_.erase(id); }
std::uint32_t NativeEngine::length(SessionId id) const { return session(id).length(); }

void NativeEngine::forget(SessionId id, std::uint64_t layer) {
  PJ_CHECK(layer < config().layers);
  session(id).forget(layer);
}

std::uint64_t NativeEngine::bytes(SessionId id) const { return session(id).bytes(); }

const NativeHidden& NativeEngine::own(const Hidden& hidden) const {
  const auto* const rows = dynamic_cast<const NativeHidden*>(&hidden);
  if (rows != nullptr && rows->engine() == number_) return *rows;
  throw Error(ErrorCode::kUsage, "these activations are those of another engine",
              "read them and restore them");
}

NativeEngine::OwnHidden NativeEngine::room_for(Batch rows) {
  PJ_CHECK(!rows.empty() && rows.size() <= kMaxBatch);
  std::unique_ptr<NativeHidden> hidden = pool_->take();
  if (hidden == nullptr) hidden = std::make_unique<NativeHidden>(pool_);
  hidden->begin(*device_, number_, rows.size());
  device_->angles(rows, hidden->rotation());
  return OwnHidden(hidden.release());
}

NativeEngine::OwnHidden NativeEngine::begin(Batch batch) {
  OwnHidden hidden = room_for(batch);
  hidden->extends(batch);
  return hidden;
}

HiddenPtr NativeEngine::embed(Batch batch) {
  for (const BatchRow& row : batch) {
    if (row.token >= 0 && static_cast<std::uint64_t>(row.token) < config().vocab) continue;
    throw Error(
        ErrorCode::kUsage,
        fmt::format("token {} is beyond the model's vocabulary of {}", row.token, config().vocab),
        "the tokenizer does not belong to this model");
  }
  auto hidden = begin(batch);
  device_->embed(batch, hidden->values());
  return hidden;
}

HiddenPtr NativeEngine::embed_chosen(Batch batch, const Chosen& from) {
  std::vector<std::uint32_t> which;
  for (const BatchRow& row : batch) {
    PJ_CHECK(row.token >= 0 && static_cast<std::size_t>(row.token) < from.size());
    which.push_back(static_cast<std::uint32_t>(row.token));
  }
  auto hidden = begin(batch);
  device_->embed_chosen(from, which, hidden->values());
  return hidden;
}

HiddenPtr NativeEngine::restore(Batch batch, std::span<const float> rows) {
  PJ_CHECK(rows.size() == batch.size() * config().hidden);
  auto hidden = begin(batch);
  device_->write(rows, hidden->values());
  return hidden;
}

// Nothing counts before the layer is through, so that a batch is in all of its sessions or in none.
void NativeEngine::make_room(std::uint64_t layer, const NativeHidden& hidden) {
  for (const SessionRows& rows : hidden.sessions()) {
    PJ_CHECK(session(rows.session).length(layer) == rows.first);
  }
  try {
    for (const SessionRows& rows : hidden.sessions())
      session(rows.session).make_room(layer, rows.end);
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::kOutOfMemory, "no memory is left for keys and values",
                "use a smaller --ctx");
  }
}

void NativeEngine::find_runs(Batch batch) {
  runs_.clear();
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (i > 0 && batch[i].session == batch[i - 1].session &&
        batch[i].position == batch[i - 1].position + 1) {
      ++runs_.back().count;
    } else {
      runs_.push_back({&session(batch[i].session), batch[i].position, i, 1});
    }
  }
}

void NativeEngine::layer(std::uint64_t index, Hidden& hidden, Batch batch, LinearTap* tap) {
  const NativeHidden& rows = own(hidden);
  PJ_CHECK(rows.rows() == batch.size() && index < config().layers);
  make_room(index, rows);
  find_runs(batch);
  attention(static_cast<int>(index), rows, tap);
  feed_forward(static_cast<int>(index), rows, tap);
  for (const SessionRows& of : rows.sessions()) session(of.session).count(index, of.end);
}

HiddenPtr NativeEngine::last_layer(HiddenPtr hidden, Batch batch) {
  const NativeHidden& rows = own(*hidden);
  const std::uint64_t index = config().layers - 1;
  PJ_CHECK(rows.rows() == batch.size());
  wanted_.clear();
  places_.clear();
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (!batch[i].want_logits) continue;
    wanted_.push_back(batch[i]);
    places_.push_back(i);
  }
  if (wanted_.size() == batch.size()) {
    layer(index, *hidden, batch);
    return hidden;
  }
  make_room(index, rows);
  find_runs(batch);
  attention_keys(static_cast<int>(index), rows);
  HiddenPtr out;
  if (!wanted_.empty()) {
    auto chosen = room_for(wanted_);
    device_->take(rows.values(), places_, chosen->values());
    find_runs(wanted_);
    attention_queries(static_cast<int>(index), *chosen);
    feed_forward(static_cast<int>(index), *chosen, nullptr);
    out = std::move(chosen);
  }
  for (const SessionRows& of : rows.sessions()) session(of.session).count(index, of.end);
  return out;
}

}  // namespace pajamas::runtime
