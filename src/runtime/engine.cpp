#include "runtime/engine.h"

#include <numeric>
#include <utility>
#include <vector>

#include "base/error.h"

namespace pajamas::runtime {
namespace {

HiddenPtr run_first_layers(Engine& engine, Batch batch, std::uint64_t layers,
                           const StopFlag& stop) {
  HiddenPtr hidden = engine.embed(batch);
  for (std::uint64_t i = 0; i < layers; ++i) {
    stop.check();
    engine.layer(i, *hidden, batch);
  }
  return hidden;
}

}  // namespace

HiddenPtr run_layers(Engine& engine, Batch batch, const StopFlag& stop) {
  return run_first_layers(engine, batch, engine.config().layers, stop);
}

HiddenPtr run_wanted(Engine& engine, Batch batch, const StopFlag& stop) {
  HiddenPtr hidden = run_first_layers(engine, batch, engine.config().layers - 1, stop);
  stop.check();
  return engine.last_layer(std::move(hidden), batch);
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
