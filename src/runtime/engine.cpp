#include "runtime/engine.h"

#include <vector>

#include "base/error.h"

namespace pajamas::runtime {

HiddenPtr run_layers(Engine& engine, Batch batch, const StopFlag& stop) {
  HiddenPtr hidden = engine.embed(batch);
  for (std::uint64_t i = 0; i < engine.config().layers; ++i) {
    stop.check();
    engine.layer(i, *hidden, batch);
  }
  return hidden;
}

void forward(Engine& engine, Batch batch, std::span<float> logits, const StopFlag& stop) {
  const HiddenPtr hidden = run_layers(engine, batch, stop);
  thread_local std::vector<std::size_t> rows;
  rows.clear();
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (batch[i].want_logits) rows.push_back(i);
  }
  PJ_CHECK(logits.size() == rows.size() * engine.config().vocab);
  if (!rows.empty()) engine.logits(*hidden, rows, logits);
}

}  // namespace pajamas::runtime
