#include "runtime/engine.h"

#include <numeric>
#include <utility>
#include <vector>

#include "base/error.h"

namespace pajamas::runtime {
namespace {

void run_first_layers(Engine& engine, Hidden& hidden, Batch batch, std::uint64_t layers,
                      const StopFlag& stop) {
  for (std::uint64_t i = 0; i < layers; ++i) {
    stop.check();
    engine.layer(i, hidden, batch);
  }
}

}  // namespace

ChosenPtr Engine::choose(const Hidden&, std::span<const ChoiceRule>) {
  PJ_CHECK(chooses());
  return nullptr;
}

HiddenPtr Engine::embed_chosen(Batch, const Chosen&) {
  PJ_CHECK(chooses());
  return nullptr;
}

HiddenPtr run_layers(Engine& engine, Batch batch, const StopFlag& stop) {
  HiddenPtr hidden = engine.embed(batch);
  run_first_layers(engine, *hidden, batch, engine.config().layers, stop);
  return hidden;
}

HiddenPtr run_wanted(Engine& engine, Batch batch, const StopFlag& stop) {
  HiddenPtr hidden = engine.embed(batch);
  run_first_layers(engine, *hidden, batch, engine.config().layers - 1, stop);
  stop.check();
  return engine.last_layer(std::move(hidden), batch);
}

ChosenPtr forward_chosen(Engine& engine, Batch batch, const Chosen* from,
                         std::span<const ChoiceRule> rules, const StopFlag& stop) {
  PJ_CHECK(rules.size() == batch.size());
  const HiddenPtr hidden =
      from == nullptr ? engine.embed(batch) : engine.embed_chosen(batch, *from);
  run_first_layers(engine, *hidden, batch, engine.config().layers, stop);
  return engine.choose(*hidden, rules);
}

void forward(Engine& engine, Batch batch, std::span<float> logits, const StopFlag& stop) {
  const HiddenPtr hidden = run_wanted(engine, batch, stop);
  thread_local std::vector<std::size_t> rows;
  rows.resize(hidden == nullptr ? 0 : hidden->rows());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  PJ_CHECK(logits.size() == rows.size() * engine.config().vocab);
  if (!rows.empty()) engine.logits(*hidden, rows, logits);
}

}  // namespace pajamas::runtime
