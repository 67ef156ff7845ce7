// An engine around another that counts, and fails or changes what it is told to. It can choose
// tokens itself.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "runtime/drawing.h"
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

  bool chooses() const noexcept override { return choosing; }
  ChosenPtr choose(const Hidden& hidden, std::span<const ChoiceRule> rules) override {
    if (engine_.chooses()) return std::make_unique<Tokens>(*this, engine_.choose(hidden, rules));
    const std::size_t vocab = config().vocab;
    std::vector<std::size_t> all(rules.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
    std::vector<float> numbers(all.size() * vocab);
    logits(hidden, all, numbers, nullptr);
    auto out = std::make_unique<Tokens>(*this, nullptr);
    for (const std::size_t i : all)
      out->tokens.push_back(drawn_by(std::span(numbers).subspan(i * vocab, vocab), rules[i]));
    return out;
  }
  HiddenPtr embed_chosen(Batch batch, const Chosen& from) override {
    const auto& chosen = static_cast<const Tokens&>(from);
    if (!chosen.is_read) ++ahead;
    rows += batch.size();
    last.assign(batch.begin(), batch.end());
    if (chosen.inner != nullptr) return engine_.embed_chosen(batch, *chosen.inner);
    std::vector<BatchRow> known(batch.begin(), batch.end());
    for (BatchRow& row : known)
      row.token = std::max(0, chosen.tokens[static_cast<std::size_t>(row.token)]);
    return engine_.embed(known);
  }

  bool choosing = false;  // by the engine where that can, else by the definition
  std::size_t ahead = 0;  // batches that began before their tokens were read
  std::function<void()> before_read;
  std::size_t most;            // rows of a batch
  std::uint64_t rows = 0;      // that were run
  int sessions = 0;            // that were not released
  std::vector<BatchRow> last;  // the batch that ran last
  std::function<void(std::uint64_t layer, Batch batch)> before_layer;
  std::function<void(std::span<const std::size_t> rows, std::span<float> logits)> after_logits;

 private:
  struct Tokens final : public Chosen {
    Tokens(ProbeEngine& of, ChosenPtr by_engine) : probe(of), inner(std::move(by_engine)) {}
    std::size_t size() const noexcept override {
      return inner == nullptr ? tokens.size() : inner->size();
    }
    void read(std::span<std::int32_t> out) override {
      if (probe.before_read) probe.before_read();
      is_read = true;
      if (inner != nullptr) return inner->read(out);
      std::ranges::copy(tokens, out.begin());
    }
    ProbeEngine& probe;
    ChosenPtr inner;
    std::vector<std::int32_t> tokens;
    bool is_read = false;
  };

  Engine& engine_;
};

}  // namespace pajamas::runtime
