// The embedded checkpoint on the CPU engine, for tests.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "model/checkpoint.h"
#include "paths.h"
#include "runtime/native/cpu/device.h"
#include "runtime/native/engine.h"
#include "weights/mapped.h"

namespace pajamas::runtime {

inline const std::string kTinyModel = source_dir() + "/models/tiny-qwen2";

struct TinyEngine {
  explicit TinyEngine(int threads = 1, const kernels::KernelTable& table = kernels::best_kernels())
      : pool(threads),
        engine(std::make_unique<CpuDevice>(
            std::make_unique<weights::MappedWeights>(model::Checkpoint::open(kTinyModel)), pool,
            table)) {}

  // Logits of every token, run in one batch at the end of a session: [tokens][vocab].
  std::vector<float> run(SessionId session, std::span<const std::int32_t> tokens) {
    std::vector<BatchRow> batch;
    std::uint32_t position = engine.length(session);
    for (const std::int32_t token : tokens) batch.push_back({session, position++, token, true});
    std::vector<float> logits(tokens.size() * engine.config().vocab);
    forward(engine, batch, logits, StopFlag{});
    return logits;
  }

  TaskPool pool;
  NativeEngine engine;
};

}  // namespace pajamas::runtime
