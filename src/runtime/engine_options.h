// How a model is to be run, whatever runs it.
#pragma once

#include <cstdint>
#include <memory>

#include "base/parallel.h"
#include "kernels/table.h"
#include "model/config.h"
#include "runtime/kv_types.h"

namespace pajamas::runtime {

class Backend;
const Backend& default_backend() noexcept;

// How activations enter products with quantized weights.
enum class Activations : std::uint8_t {
  kFloat,  // as they are: what comes out is what the weights say
  kInt8,   // rounded to eight bits, 32 columns to a scale (kernels/int8.h): several times faster
};

// A value: copies of it open several engines of one kind, which then share the threads.
struct EngineOptions {
  const Backend* backend = &default_backend();
  bool any_backend = false;  // whoever opens the model chooses (settle_backend)
  // Whether the user asked for these of this run: a backend that has nothing of the kind refuses.
  bool threads_asked = false, kernels_asked = false;
  // Threads for what runs on the processor. Engines that share them run in turn.
  std::shared_ptr<const TaskPool> pool;
  const kernels::KernelTable* kernels = &kernels::best_kernels();
  KvType kv_type = KvType::kF32;
  Activations activations = Activations::kFloat;
  std::uint64_t context = 0;        // positions that one session is to have room for
  std::uint64_t memory_budget = 0;  // bytes that sessions and work may take; 0: what there is
};

// The largest context that anything here plans for.
inline constexpr std::uint64_t kMaxContext = std::uint64_t{1} << 31;

// The context to plan for where nobody says one: the model's, at most 4096.
std::uint64_t default_context(const model::ModelConfig& config) noexcept;

}  // namespace pajamas::runtime
