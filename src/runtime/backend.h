// What can run models. A backend is one row of a registry: it alone decides what is opened under
// its name, and what memory that takes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "model/checkpoint.h"
#include "runtime/engine.h"
#include "runtime/engine_options.h"
#include "weights/store.h"

namespace pajamas::runtime {

// Bytes beside the weights.
struct MemoryNeeds {
  std::uint64_t keys_values = 0;   // of one session that is full
  std::uint64_t per_position = 0;  // what one position adds to it while no sliding window is full
  std::uint64_t work = 0;          // on one batch

  std::uint64_t total() const;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string_view name() const noexcept = 0;  // as users write it
  // Whether this machine has what it needs. May load a library.
  virtual bool available() const noexcept = 0;
  // The plug-in that it is in, where one was found; empty: none was, or it is in this program.
  virtual std::string plugin() const { return {}; }
  virtual bool built_in() const noexcept { return true; }  // needs no plug-in
  // What it runs on here, or why it cannot and how to get it: "mlx 0.32.4 on gpu".
  virtual std::string description() const = 0;
  // Of options.context positions stored as options.kv_type.
  virtual MemoryNeeds needs(const model::ModelConfig& config,
                            const EngineOptions& options) const = 0;
  // Throws Error{kUnsupported}, with this backend's name, for options that it knows nothing of.
  virtual void require_options(const EngineOptions&) const {}
  // options.pool must be there and outlive the engine. Throws Error{kUnsupported} for weights or
  // options that this backend has nothing for, kIo, kCorruptFile where the files changed.
  virtual std::unique_ptr<Engine> open(model::Checkpoint checkpoint,
                                       const EngineOptions& options) const = 0;
  // The same of weights that no file holds, such as a benchmark makes. Throws Error{kUnsupported}
  // where this backend runs files alone.
  virtual std::unique_ptr<Engine> open_store(std::shared_ptr<const weights::WeightStore> store,
                                             const EngineOptions& options) const;
  // Bytes a second that it reads from the memory in which weights lie, measured for about
  // `seconds`; 0: nothing tells. Throws Error{kInterrupted}.
  virtual double memory_bandwidth(const EngineOptions& options, double seconds,
                                  const StopFlag& stop) const;
};

// All of this program, the preferred one first.
std::span<const Backend* const> backends() noexcept;
// Throws Error{kUsage} for an unknown name and Error{kUnsupported} for a backend that this machine
// has nothing for; both name those it can use.
const Backend& backend_by_name(std::string_view name);
// Throws the second of these errors.
void require_available(const Backend& backend);
// "cpu, ...": those that this machine can use.
std::string usable_backend_names();
// "cpu, ...": all of this program, without asking whether they can be used.
std::string backend_names();

// What options.backend needs. Throws nothing for contexts up to kMaxContext.
MemoryNeeds memory_needs(const model::ModelConfig& config, const EngineOptions& options);

// The same of `positions` rather than options.context.
MemoryNeeds memory_needs(const model::ModelConfig& config, EngineOptions options,
                         std::uint64_t positions);

// Bytes that may be taken beside the weights: options.memory_budget, else what this machine has.
std::uint64_t memory_limit(const EngineOptions& options) noexcept;

// The longest context, in whole 256s, that takes at most `limit`; 0: none.
std::uint64_t longest_context(const model::ModelConfig& config, const EngineOptions& options,
                              std::uint64_t limit);

// "try --kv-cache q8_0 (1.20 GB) or --ctx 2048 (1.10 GB)": what takes at most `limit` where these
// options take more. Says so where nothing does.
std::string ways_to_fit_context(const model::ModelConfig& config, const EngineOptions& options,
                                std::uint64_t limit);

// Throws Error{kOutOfMemory}, with both figures, where a session of options.context positions does
// not fit into the memory.
void require_memory(const model::Checkpoint& checkpoint, const EngineOptions& options);

// Opens what options.backend makes of the checkpoint, or the one that settle_backend chooses.
// Throws as require_memory and Backend::open.
std::unique_ptr<Engine> open_engine(model::Checkpoint checkpoint, const EngineOptions& options);

}  // namespace pajamas::runtime
