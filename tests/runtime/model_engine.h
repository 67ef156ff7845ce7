// A model of the repository on the CPU engine, for tests.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "paths.h"
#include "runtime/native/cpu/device.h"
#include "runtime/native/engine.h"
#include "runtime/numbers.h"
#include "weights/mapped.h"

namespace pajamas::runtime {

struct ModelEngine {
  explicit ModelEngine(const std::string& name, Activations activations = Activations::kFloat,
                       KvType kv_type = KvType::kF32)
      : store(std::make_shared<weights::MappedWeights>(
            model::Checkpoint::open(source_dir() + "/models/" + name))),
        pool(2),
        engine(std::make_unique<CpuDevice>(store, pool, kernels::best_kernels(), activations),
               kv_type) {}

  std::shared_ptr<const weights::MappedWeights> store;
  TaskPool pool;
  NativeEngine engine;
};

// Positions [first, first + count) of a text that a number stands for.
inline std::vector<BatchRow> rows_of_text(SessionId session, std::uint64_t text, std::size_t vocab,
                                          std::uint32_t first, std::uint32_t count) {
  Numbers numbers(text);
  std::vector<BatchRow> rows;
  for (std::uint32_t p = 0; p < first + count; ++p) {
    const auto token = static_cast<std::int32_t>(numbers.bits() % vocab);
    if (p >= first) rows.push_back({session, p, token, true});
  }
  return rows;
}

// [rows][hidden].
inline std::vector<float> values_of(const Hidden& hidden) {
  std::vector<float> values(hidden.rows() * hidden.width());
  for (std::size_t i = 0; i < hidden.rows(); ++i) {
    hidden.read_row(i, std::span(values).subspan(i * hidden.width(), hidden.width()));
  }
  return values;
}

inline std::vector<float> all_logits(Engine& engine, const Hidden& hidden) {
  std::vector<std::size_t> rows(hidden.rows());
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = i;
  std::vector<float> logits(rows.size() * engine.config().vocab);
  engine.logits(hidden, rows, logits);
  return logits;
}

}  // namespace pajamas::runtime
