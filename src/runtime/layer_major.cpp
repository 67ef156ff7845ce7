#include "runtime/layer_major.h"

#include <algorithm>
#include <map>

#include "base/bytes.h"
#include "base/error.h"
#include "runtime/backend.h"

namespace pajamas::runtime {

ActivationStore::Place& ActivationStore::place(std::size_t batch, std::size_t floats) {
  if (batch >= places_.size()) places_.resize(batch + 1);
  Place& at = places_[batch];
  if (at.floats != 0) {
    PJ_CHECK(at.floats == floats);
    return at;
  }
  const std::uint64_t bytes = floats * sizeof(float);
  if (bytes <= budget_ && memory_bytes_ <= budget_ - bytes) {
    at.memory.resize(floats);
    memory_bytes_ += bytes;
  } else {
    if (!file_) file_.emplace(folder_, UnnamedFile::Caching::kUsual);
    at.offset = file_bytes_;
    file_bytes_ += bytes;
  }
  at.floats = floats;
  return at;
}

void ActivationStore::put(std::size_t batch, const Hidden& hidden) {
  const std::size_t width = hidden.width();
  Place& at = place(batch, hidden.rows() * width);
  std::vector<float>& to = at.memory.empty() ? buffer_ : at.memory;
  to.resize(at.floats);
  for (std::size_t i = 0; i < hidden.rows(); ++i) {
    hidden.read_row(i, std::span(to).subspan(i * width, width));
  }
  if (at.memory.empty()) file_->write_at(at.offset, std::as_bytes(std::span(to)));
}

std::span<const float> ActivationStore::read(std::size_t batch) {
  PJ_CHECK(batch < places_.size() && places_[batch].floats != 0);
  const Place& at = places_[batch];
  if (!at.memory.empty()) return at.memory;
  buffer_.resize(at.floats);
  file_->read_at(at.offset, std::as_writable_bytes(std::span(buffer_)));
  return buffer_;
}

HiddenPtr ActivationStore::get(std::size_t batch, Engine& engine, Batch rows) {
  return engine.restore(rows, read(batch));
}

namespace {

// One stream's sessions: those of its engine in place of the caller's.
class Sessions {
 public:
  Sessions(Engine& engine, std::span<const std::vector<BatchRow>> batches) : engine_(engine) {
    for (std::size_t b = 0; b < batches.size(); ++b) {
      for (const BatchRow& row : batches[b]) {
        auto [at, is_new] = texts_.try_emplace(row.session);
        if (is_new) at->second.session = engine_.create_session();
        at->second.last = b;
      }
    }
  }
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;
  ~Sessions() {
    for (const auto& [number, text] : texts_) engine_.release(text.session);
  }

  Batch rows_of(std::span<const BatchRow> batch) {
    rows_.assign(batch.begin(), batch.end());
    for (BatchRow& row : rows_) row.session = texts_.at(row.session).session;
    return rows_;
  }

  void forget_finished(std::span<const BatchRow> batch, std::size_t number, std::uint64_t layer) {
    for (const BatchRow& row : batch) {
      const Text& text = texts_.at(row.session);
      if (text.last == number) engine_.forget(text.session, layer);
    }
  }

 private:
  struct Text {
    SessionId session = 0;
    std::size_t last = 0;  // batch that it is in
  };
  Engine& engine_;
  std::map<SessionId, Text> texts_;
  std::vector<BatchRow> rows_;
};

// Of one layer; -1: of none.
std::uint64_t layer_bytes(const model::Checkpoint& checkpoint, int layer) {
  std::uint64_t sum = 0;
  for (const model::StoredTensor& tensor : checkpoint.tensors()) {
    if (tensor.key.layer == layer) sum += tensor.bytes();
  }
  return sum;
}

std::uint64_t bytes_of(const model::Checkpoint& checkpoint, model::Role role) {
  const model::StoredTensor* const tensor = checkpoint.find({role});
  return tensor == nullptr ? 0 : tensor->bytes();
}

}  // namespace

void run_layer_major(std::span<const Stream> streams,
                     std::span<const std::vector<BatchRow>> batches, LayerVisitor& visitor,
                     Progress& progress, const StopFlag& stop) {
  PJ_CHECK(!streams.empty());
  const std::uint64_t layers = streams.front().engine.config().layers;
  std::vector<std::unique_ptr<Sessions>> sessions;
  for (const Stream& stream : streams) {
    PJ_CHECK(stream.engine.config().layers == layers);
    sessions.push_back(std::make_unique<Sessions>(stream.engine, batches));
  }
  for (const Stream& stream : streams) stream.engine.expect(0);
  // Before any layer, so that of a large embedding nothing is left when two of them are there.
  for (std::size_t s = 0; s < streams.size(); ++s) {
    const auto& [engine, between] = streams[s];
    engine.expect(Engine::kEmbedding);
    for (std::size_t b = 0; b < batches.size(); ++b) {
      stop.check();
      between.put(b, *engine.embed(sessions[s]->rows_of(batches[b])));
    }
    engine.leave(Engine::kEmbedding);
  }
  for (std::uint64_t layer = 0; layer < layers; ++layer) {
    if (layer + 1 < layers) {
      for (const Stream& stream : streams) stream.engine.expect(layer + 1);
    }
    for (std::size_t s = 0; s < streams.size(); ++s) {
      const auto& [engine, between] = streams[s];
      LinearTap* const tap = visitor.begin(s, layer);
      for (std::size_t b = 0; b < batches.size(); ++b) {
        stop.check();
        const Batch rows = sessions[s]->rows_of(batches[b]);
        const HiddenPtr hidden = between.get(b, engine, rows);
        engine.layer(layer, *hidden, rows, tap);
        between.put(b, *hidden);
        visitor.after_batch(s, layer, b, rows);
        sessions[s]->forget_finished(batches[b], b, layer);
        progress.advance(rows.size());
      }
      visitor.end(s, layer);
    }
    for (const Stream& stream : streams) stream.engine.leave(layer);
  }
}

std::uint64_t layer_major_bytes(const model::Checkpoint& checkpoint, const EngineOptions& options) {
  const model::ModelConfig& config = checkpoint.config();
  const MemoryNeeds needs = memory_needs(config, options);
  std::uint64_t largest = 0;
  for (std::uint64_t i = 0; i < config.layers; ++i) {
    largest = std::max(largest, layer_bytes(checkpoint, static_cast<int>(i)));
  }
  const std::uint64_t beside =
      std::max({largest, bytes_of(checkpoint, model::Role::kTokenEmbedding),
                bytes_of(checkpoint, model::Role::kOutput)});
  // A batch may hold several short chunks: as many positions as its rows, at most, beside one.
  constexpr std::uint64_t kBatchRows = 512;
  const std::uint64_t per_layer =
      (needs.keys_values + kBatchRows * needs.per_position) / config.layers;
  return checked_add(checked_add(needs.work, per_layer), checked_add(largest, beside));
}

}  // namespace pajamas::runtime
