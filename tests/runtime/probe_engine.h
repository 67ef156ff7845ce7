// An engine around another that counts, and fails or changes what it is told to.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "runtime/engine.h"

namespace pajamas::runtime {

class ProbeEngine final : public Engine {
 public:
  explicit ProbeEngine(Engine& engine) : most(engine.max_batch()), engine_(engine) {}

  const model::ModelConfig& config() const noexcept override { return engine_.config(); }
  std::string_view backend() const noexcept override { return engine_.backend(); }
  std::size_t max_batch() const noexcept override { return most; }
  SessionId create_session() override { return ++sessions, engine_.create_session(); }
  SessionId fork(SessionId session) override { return ++sessions, engine_.fork(session); }
  std::uint32_t truncate(SessionId session, std::uint32_t length) override {
    return engine_.truncate(session, length);
  }
  void release(SessionId session) override { --sessions, engine_.release(session); }
  std::uint32_t length(SessionId session) const override { return engine_.length(session); }
  void forget(SessionId session, std::uint64_t layer) override { engine_.forget(session, layer); }
  std::uint64_t bytes(SessionId session) const override { return engine_.bytes(session); }
  HiddenPtr embed(Batch batch) override {
    rows += batch.size();
    last.assign(batch.begin(), batch.end());
    return engine_.embed(batch);
  }
  HiddenPtr restore(Batch batch, std::span<const float> values) override {
    return engine_.restore(batch, values);
  }
  void layer(std::uint64_t index, Hidden& hidden, Batch batch, LinearTap* tap) override {
    if (before_layer) before_layer(index, batch);
    engine_.layer(index, hidden, batch, tap);
  }
  HiddenPtr last_layer(HiddenPtr hidden, Batch batch) override {
    if (before_layer) before_layer(config().layers - 1, batch);
    return engine_.last_layer(std::move(hidden), batch);
  }
  void logits(const Hidden& hidden, std::span<const std::size_t> wanted, std::span<float> out,
              LinearTap* tap) override {
    engine_.logits(hidden, wanted, out, tap);
    if (after_logits) after_logits(wanted, out);
  }

  std::size_t most;            // rows of a batch
  std::uint64_t rows = 0;      // that were run
  int sessions = 0;            // that were not released
  std::vector<BatchRow> last;  // the batch that ran last
  std::function<void(std::uint64_t layer, Batch batch)> before_layer;
  std::function<void(std::span<const std::size_t> rows, std::span<float> logits)> after_logits;

 private:
  Engine& engine_;
};

}  // namespace pajamas::runtime
